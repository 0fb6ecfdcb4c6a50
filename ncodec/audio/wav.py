"""WAV on pipes: headers that need no seek, lengths that may be unknown, and files beyond 4 GiB.

Layout after Microsoft's RIFF specification and EBU Tech 3306 (RF64); a size that a live writer
could not know stands as 0xFFFFFFFF (ffmpeg), 0x7FFFF000 and more (sox, arecord), or 0 twice.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from ncodec.audio.pcm import BYTES, Samples, encode_pcm
from ncodec.errors import BadFileError

UNKNOWN = 0x7FFFF000
"""Sizes from here on mean "not known" in a 32-bit RIFF field."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_ENCODINGS = {
    (_PCM, 8): "u8", (_PCM, 16): "s16", (_PCM, 24): "s24", (_PCM, 32): "s32",
    (_FLOAT, 32): "f32", (_FLOAT, 64): "f64",
}  # fmt: skip
# Front, centre, LFE, back and side speakers for 1 to 8 channels, as libsndfile and ffmpeg set them.
_MASKS = (0, 0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x13F, 0x63F)
_MAX_CHUNK = 1 << 20


@dataclass(frozen=True)
class WavHeader:
    """What stands before the samples; `data_bytes` is None where the writer did not know it."""

    encoding: str
    sample_rate: int
    channels: int
    data_bytes: int | None

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return BYTES[self.encoding] * self.channels


def is_wav(start: bytes) -> bool:
    """Say whether a file that begins with these 12 bytes is a little-endian WAV or RF64."""
    return start[:4] in (b"RIFF", b"RF64") and start[8:12] == b"WAVE"


def read_header(start: bytes, read: Callable[[int], bytes]) -> WavHeader | None:
    """Read from behind the first 12 bytes to the first sample; None if not plain PCM or float.

    Raises:
        BadFileError: the file ends or makes no sense before its samples.
    """
    riff_size = struct.unpack("<I", start[4:8])[0]
    long_size: int | None = None
    fmt: tuple[str, int, int] | None = None
    while True:
        head = read(8)
        if len(head) < 8:
            raise BadFileError("the WAV header ends before any samples")
        tag, size = head[:4], struct.unpack("<I", head[4:])[0]
        if tag == b"data":
            if fmt is None:
                return None
            return WavHeader(*fmt, _data_bytes(size, riff_size, long_size))
        if size > _MAX_CHUNK:
            raise BadFileError(f"WAV chunk {tag!r} of {size} bytes stands before the samples")
        body = read(size + size % 2)
        if tag == b"ds64" and len(body) >= 16:
            long_size = struct.unpack("<Q", body[8:16])[0]
        elif tag == b"fmt " and len(body) >= 16:
            fmt = _parse_fmt(body)
            if fmt is None:
                return None


def _parse_fmt(body: bytes) -> tuple[str, int, int] | None:
    tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE and len(body) >= 40:
        tag = struct.unpack("<H", body[24:26])[0]
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None or align != channels * bits // 8:
        return None
    return encoding, rate, channels


def _data_bytes(size: int, riff_size: int, long_size: int | None) -> int | None:
    if size == 0xFFFFFFFF and long_size is not None:
        return long_size if 0 < long_size < 1 << 62 else None
    if size >= UNKNOWN or (size == 0 and (riff_size == 0 or riff_size >= UNKNOWN)):
        return None
    return size


class WavWriter:
    """Write 16- or 24-bit or float WAV; where the file can seek, sizes are set at the end."""

    def __init__(
        self, file: BinaryIO, sample_rate: int, channels: int, encoding: str, samples: int | None
    ) -> None:
        """Write the header; `samples` is the length where it is known, for pipes."""
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

    def _header(self, data_bytes: int | None) -> bytes:
        """Return the header, always of one length: a JUNK chunk keeps the room of RF64's ds64."""
        fmt = self._fmt()
        body = 4 + 36 + 8 + len(fmt) + 8
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
            + struct.pack("<4sI", b"data", size)
        )

    def _fmt(self) -> bytes:
        bits = BYTES[self._encoding] * 8
        tag = _FLOAT if self._encoding == "f32" else _PCM
        plain = tag == _PCM and bits == 16 and self._channels <= 2
        per_second = self._rate * self._frame_bytes
        main = struct.pack(
            "<HHIIHH",
            tag if plain else _EXTENSIBLE, self._channels, self._rate, per_second,
            self._frame_bytes, bits,
        )  # fmt: skip
        if plain:
            return main
        mask = _MASKS[self._channels]
        return main + struct.pack("<HHIH", 22, bits, mask, tag) + _GUID_TAIL


def _junk() -> bytes:
    return b"JUNK" + struct.pack("<I", 28) + bytes(28)
