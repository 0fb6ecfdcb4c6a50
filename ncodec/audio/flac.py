"""What libsndfile does not do with FLAC: streams one behind the other, and files without samples.

The layout is RFC 9639's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from ncodec.audio.source import Source

_STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_BLOCK = 1 << 20


def total_samples(source: Source, at: int) -> int | None:
    """Return the length that a stream at `at` promises, None if it does not know."""
    info = source.at(at, 26)
    return int.from_bytes(info[21:26], "big") & 0xFFFFFFFFF or None


def find_streams(source: Source, begin: int, end: int) -> Iterator[int]:
    """Find where streams begin: by their name and the head of their first block."""
    at = begin
    while at < end:
        block = source.at(at, min(_BLOCK, end - at))
        for match in _STREAM.finditer(block):
            yield at + match.start()
        if len(block) < _BLOCK:
            return
        at += len(block) - 7


def sound_end(source: Source, begin: int, end: int) -> int:
    """Return where the tags begin that taggers hang behind a file: ID3v1 and APEv2."""
    while end - begin > 160:
        tail = source.at(end - 160, 160)
        if tail[32:35] == b"TAG":
            end -= 128
        elif tail[128:136] == b"APETAGEX":
            size = int.from_bytes(tail[140:144], "little")
            header = 32 if tail[151] & 0x80 else 0
            if not 32 <= size + header <= end - begin:
                break
            end -= size + header
        else:
            break
    return end


def empty_file(sample_rate: int, channels: int, bits: int) -> bytes:
    """Return a FLAC file without samples; libsndfile writes its header with the first of them."""
    fields = sample_rate << 44 | (channels - 1) << 41 | (bits - 1) << 36
    block = (4096).to_bytes(2, "big") * 2 + bytes(6) + fields.to_bytes(8, "big")
    nothing = hashlib.md5(b"", usedforsecurity=False).digest()
    return b"fLaC\x80\0\0\x22" + block + nothing
