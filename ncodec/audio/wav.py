"""WAV: headers read without a seek, lengths that may be unknown, and files beyond 4 GiB.

Layout after Microsoft's RIFF specification, EBU Tech 3306 (RF64) and ITU-R BS.2088 (BW64); a size
that a live writer could not know stands as 0xFFFFFFFF (ffmpeg), 0x7FFFF000 and more (sox, arecord),
or 0 (a recorder that was not closed).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from ncodec.audio.layout import mask_of, usual_mask
from ncodec.audio.pcm import BYTES, Samples, encode_pcm
from ncodec.audio.source import Source
from ncodec.errors import BadFileError

UNKNOWN = 0x7FFFF000
"""Sizes from here on mean "not known" in a 32-bit RIFF field, unless the file is that long."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_BY_WIDTH = {
    _PCM: {1: "u8", 2: "s16", 3: "s24", 4: "s32"},
    _FLOAT: {4: "f32", 8: "f64"},
}
_TEXT_CHUNKS = (b"LIST", b"id3 ", b"ID3 ")
MAX_TEXT_CHUNK = 1 << 20
"""Longer chunks of tags (those with pictures) are passed over."""


@dataclass(frozen=True)
class WavHeader:
    """What stands before the samples.

    Attributes:
        encoding: a key of `BYTES`; None is a coding that libsndfile has to read.
        sample_rate: in Hz.
        channels: their number.
        data_bytes: length of the samples; None where the writer did not know it.
        mask: the speakers, None for the usual ones.
        promised: length of the samples as it stands in the header.
        data_at: bytes from the beginning to the first sample.
        texts: chunks of tags, with their names.
        skipped_texts: whether there were chunks of tags too long to keep.
    """

    encoding: str | None
    sample_rate: int
    channels: int
    data_bytes: int | None
    mask: int | None = None
    promised: int = 0
    data_at: int = 0
    texts: tuple[tuple[bytes, bytes], ...] = ()
    skipped_texts: bool = False

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return BYTES[self.encoding or "u8"] * self.channels


def is_wav(start: bytes) -> bool:
    """Say whether a file that begins with these 12 bytes is a little-endian WAV, RF64 or BW64."""
    return start[:4] in (b"RIFF", b"RF64", b"BW64") and start[8:12] == b"WAVE"


def read_header(start: bytes, source: Source) -> WavHeader:
    """Read from behind the first 12 bytes to the first sample.

    Raises:
        BadFileError: the file ends or makes no sense before its samples.
    """
    scan = _Scan(source)
    riff_size = struct.unpack("<I", start[4:8])[0]
    long_size: int | None = None
    fmt: bytes | None = None
    while True:
        tag, size = scan.next_chunk()
        if tag == b"data":
            break
        if tag == b"fmt " and fmt is None:
            fmt = scan.body(size, keep=64)
            if _parse_fmt(fmt)[0] is not None:
                source.drop_copy()
        elif tag == b"ds64":
            body = scan.body(size, keep=28)
            long_size = struct.unpack("<Q", body[8:16])[0] if len(body) >= 16 else None
        elif tag in _TEXT_CHUNKS and size <= MAX_TEXT_CHUNK:
            scan.texts.append((tag, scan.body(size, keep=size)))
        else:
            scan.skipped_texts |= tag in _TEXT_CHUNKS
            scan.body(size, keep=0)
    if fmt is None:
        raise BadFileError("no fmt chunk stands before the samples")
    encoding, rate, channels, mask = _parse_fmt(fmt)
    there = source.size() - source.file.tell() if source.seekable else None
    return WavHeader(
        encoding, rate, channels,
        _data_bytes(size, riff_size, long_size, scan.at, there),
        mask, long_size or size, scan.at, tuple(scan.texts), scan.skipped_texts,
    )  # fmt: skip


class _Scan:
    """A walk over the chunks before the samples."""

    def __init__(self, source: Source) -> None:
        self.source, self.at = source, 12
        self.texts: list[tuple[bytes, bytes]] = []
        self.skipped_texts = False
        self._odd = b""

    def next_chunk(self) -> tuple[bytes, int]:
        """Return the next chunk's name and length."""
        head = self._odd + self.source.take(8 - len(self._odd))
        self.at += 8 - len(self._odd)
        self._odd = b""
        if len(head) < 8:
            raise BadFileError("the WAV header ends before any samples")
        return head[:4], struct.unpack("<I", head[4:])[0]

    def body(self, size: int, *, keep: int) -> bytes:
        """Return the first `keep` bytes of a chunk, and pass over the rest and the padding."""
        kept = self.source.take(min(size, keep))
        self.at += size
        if not self.source.skip(size - len(kept)):
            raise BadFileError("the WAV header ends before any samples")
        if size % 2:
            # Some writers leave the padding out: a chunk's name does not begin with 0.
            pad = self.source.take(1)
            self.at += 1
            self._odd = pad if pad > b" " else b""
        return kept


def _parse_fmt(body: bytes) -> tuple[str | None, int, int, int | None]:
    """Return encoding, rate, channels and mask; a coding that is not plain has no encoding."""
    if len(body) < 16:
        raise BadFileError(f"a fmt chunk of {len(body)} bytes; it must have 16 or more")
    tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", body[:16])
    mask = None
    if tag == _EXTENSIBLE and len(body) >= 40:
        tag = struct.unpack("<H", body[24:26])[0]
        mask = struct.unpack("<I", body[20:24])[0]
    mask = usual_mask(mask, channels) if 1 <= channels <= 8 else None
    # Samples of 12 or 20 bits stand at the upper end of whole bytes.
    width = -(-bits // 8)
    if channels and align % channels == 0 and width <= align // channels <= 8:
        width = align // channels
    return _BY_WIDTH.get(tag, {}).get(width), rate, channels, mask


def _data_bytes(
    size: int, riff_size: int, long_size: int | None, data_at: int, there: int | None
) -> int | None:
    """Return the length of the samples, None if it is not known; `there` is what the file has."""
    if size == 0xFFFFFFFF and long_size is not None:
        return long_size if 0 < long_size < 1 << 62 else None
    if size >= UNKNOWN:
        return size if size < 0xFFFFFFFF and there is not None and there >= size else None
    # A recorder sets sizes last: before that the outer one covers no more than the header.
    if size == 0 and (riff_size + 8 <= data_at or riff_size >= UNKNOWN):
        return None
    return size


def list_texts(body: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Walk over the items of a LIST chunk of the kind INFO: their names and bytes."""
    if body[:4] != b"INFO":
        return
    at = 4
    while at + 8 <= len(body):
        name, size = struct.unpack("<4sI", body[at : at + 8])
        yield name, body[at + 8 : at + 8 + size].split(b"\0")[0]
        at += 8 + size + size % 2


class WavWriter:
    """Write 16- or 24-bit or float WAV; where the file can seek, sizes are set at the end."""

    def __init__(
        self,
        file: BinaryIO,
        sample_rate: int,
        channels: int,
        encoding: str,
        *,
        samples: int | None = None,
        mask: int | None = None,
        texts: bytes = b"",
    ) -> None:
        """Write the header; `samples` is the length where it is known, for pipes.

        `mask` says the speakers, None the usual ones; `texts` are whole chunks of tags.
        """
        self._mask, self._texts = usual_mask(mask, channels), texts
        self._file, self._encoding = file, encoding
        self._rate, self._channels = sample_rate, channels
        self._frame_bytes = BYTES[encoding] * channels
        self._base = file.tell() if file.seekable() else None
        self._written = 0
        known = None if samples is None else samples * self._frame_bytes
        file.write(self._header(known))

    def write(self, x: Samples) -> None:
        """Append samples `[C, T]`."""
        data = encode_pcm(x, self._encoding)
        self._file.write(data)
        self._written += len(data)

    def finish(self) -> None:
        """Pad to an even length and set the sizes."""
        if self._written % 2:
            self._file.write(b"\0")
        if self._base is not None:
            end = self._file.tell()
            self._file.seek(self._base)
            self._file.write(self._header(self._written))
            self._file.seek(end)

    def abort(self) -> None:
        """Leave the file as it is."""

    def _header(self, data_bytes: int | None) -> bytes:
        """Return the header, always of one length: a JUNK chunk keeps the room of RF64's ds64."""
        fmt = self._fmt()
        body = 4 + 36 + 8 + len(fmt) + len(self._texts) + 8
        if data_bytes is None:
            riff, size, extra = (b"RIFF", 0xFFFFFFFF), 0xFFFFFFFF, _junk()
        elif body + data_bytes + 1 < 0xFFFFFFFF:
            riff = (b"RIFF", body + data_bytes + data_bytes % 2)
            size, extra = data_bytes, _junk()
        else:
            riff, size = (b"RF64", 0xFFFFFFFF), 0xFFFFFFFF
            total = body + data_bytes + data_bytes % 2
            sizes = (total, data_bytes, data_bytes // self._frame_bytes, 0)
            extra = b"ds64" + struct.pack("<IQQQI", 28, *sizes)
        return (
            struct.pack("<4sI4s", *riff, b"WAVE")
            + extra
            + struct.pack("<4sI", b"fmt ", len(fmt))
            + fmt
            + self._texts
            + struct.pack("<4sI", b"data", size)
        )

    def _fmt(self) -> bytes:
        bits = BYTES[self._encoding] * 8
        tag = _FLOAT if self._encoding == "f32" else _PCM
        plain = tag == _PCM and bits == 16 and self._channels <= 2 and self._mask is None
        per_second = self._rate * self._frame_bytes
        main = struct.pack(
            "<HHIIHH",
            tag if plain else _EXTENSIBLE, self._channels, self._rate, per_second,
            self._frame_bytes, bits,
        )  # fmt: skip
        if plain:
            return main
        mask = mask_of(self._mask, self._channels)
        return main + struct.pack("<HHIH", 22, bits, mask, tag) + _GUID_TAIL


def _junk() -> bytes:
    return b"JUNK" + struct.pack("<I", 28) + bytes(28)
