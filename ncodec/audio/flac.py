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
_FRAME = 1 << 16
"""Where the last frame is looked for: those of usual blocks are shorter."""


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


def has_frame_behind(source: Source, base: int, end: int, samples: int) -> bool:
    """Tell whether the last frame of a stream of fixed blocks begins behind so many samples.

    Readers stop at the length in the header, so that all behind it would be lost without a word.
    """
    tail = source.at(max(base, end - _FRAME), min(_FRAME, end - base))
    block = int.from_bytes(source.at(base + 8, 2), "big")
    for match in re.finditer(rb"\xff\xf8", tail):
        head = tail[match.start() : match.start() + 16]
        number, size = _coded_number(head[4:])
        size += 4 + {6: 1, 7: 2}.get(head[2] >> 4 if len(head) > 2 else 0, 0)
        size += {12: 1, 13: 2, 14: 2}.get(head[2] & 15 if len(head) > 2 else 0, 0)
        if (
            number * block >= samples
            and len(head) > size
            and _crc(head[: size + 1], 8, 0x07) == 0
            and _crc(tail[match.start() :], 16, 0x8005) == 0
        ):
            return True
    return False


def _coded_number(data: bytes) -> tuple[int, int]:
    """Return a number coded as in UTF-8, and its bytes; -1 if it is none."""
    ones = next((i for i in range(8) if not data[0] << i & 0x80), 8) if data else 8
    size = max(1, ones)
    rest = data[1:size]
    if ones in (1, 8) or len(rest) < size - 1 or any(byte >> 6 != 2 for byte in rest):
        return -1, size
    number = data[0] & (0x7F >> ones)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, size


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """Return the check of RFC 9639, 0 for data with its own check behind it."""
    value, top, mask = 0, 1 << bits - 1, (1 << bits) - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
    return value


def empty_file(sample_rate: int, channels: int, bits: int) -> bytes:
    """Return a FLAC file without samples; libsndfile writes its header with the first of them."""
    fields = sample_rate << 44 | (channels - 1) << 41 | (bits - 1) << 36
    block = (4096).to_bytes(2, "big") * 2 + bytes(6) + fields.to_bytes(8, "big")
    nothing = hashlib.md5(b"", usedforsecurity=False).digest()
    return b"fLaC\x80\0\0\x22" + block + nothing
