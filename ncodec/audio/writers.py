"""Write audio block by block: WAV and raw samples to anything, other formats through libsndfile."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import soundfile

from ncodec.audio.pcm import Samples, check_format, encode_pcm, quantize_pcm
from ncodec.audio.wav import WavWriter
from ncodec.errors import ArgumentError

ENCODINGS = ("s16", "s24", "f32")
_SUBTYPES = {"s16": "PCM_16", "s24": "PCM_24", "f32": "FLOAT"}
_ALIASES = {"AIF": "AIFF", "OGA": "OGG", "OPUS": "OGG", "SND": "AU"}


class AudioWriter(Protocol):
    """A sink of samples."""

    def write(self, x: Samples) -> None:
        """Append samples `[C, T]`."""
        ...

    def finish(self) -> None:
        """Complete the file; the file object stays open."""
        ...


def format_of(path: str) -> str:
    """Return the format that a path's ending names ("wav", "flac", "raw", ...).

    Raises:
        ArgumentError: no ending, or one that cannot be written.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    try:
        _container(suffix)
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from None
    return suffix


def open_writer(
    file: BinaryIO,
    *,
    container: str,
    sample_rate: int,
    channels: int,
    encoding: str | None = None,
    samples: int | None = None,
) -> AudioWriter:
    """Begin to write "wav", "raw" or an ending that libsndfile knows to an open file.

    Args:
        file: a binary file; a pipe is fine.
        container: as `format_of` returns it, or "raw" for samples without a header.
        sample_rate: in Hz.
        channels: 1 to 8.
        encoding: "s16", "s24" or "f32"; None is s16, or the format's own where it is lossy.
        samples: the length, where it is known, for the header of a WAV on a pipe.

    Raises:
        ArgumentError: the format cannot hold what it is asked for.
    """
    check_format(sample_rate, channels)
    if encoding is not None and encoding not in ENCODINGS:
        raise ArgumentError(f"encoding {encoding!r}: must be one of {', '.join(ENCODINGS)}")
    if container == "raw":
        return RawWriter(file, encoding or "s16")
    if container == "wav":
        return WavWriter(file, sample_rate, channels, encoding or "s16", samples)
    return SoundFileWriter(file, container, sample_rate, channels, encoding)


def _container(container: str) -> str:
    if container in ("wav", "raw"):
        return container
    name = _ALIASES.get(container.upper(), container.upper())
    if name == "RAW" or name not in soundfile.available_formats():
        known = "wav, flac, ogg, opus, mp3, aiff, au, caf"
        raise ArgumentError(f"output format {container!r}: must be one of {known}, or raw")
    return name


class RawWriter:
    """Interleaved little-endian samples without a header."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        """Write to `file`."""
        self._file, self._encoding = file, encoding

    def write(self, x: Samples) -> None:
        """See AudioWriter."""
        self._file.write(encode_pcm(x, self._encoding))

    def finish(self) -> None:
        """See AudioWriter."""


class _Sink:
    """The bytes under libsndfile: keeps errors that its callbacks would swallow.

    libsndfile writes once more when it is closed, and does so even if the file was given up.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is not None or self.file.closed:
            return 0
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            return 0

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0 if self.file.closed else self.file.seek(offset, whence)

    def tell(self) -> int:
        return 0 if self.file.closed else self.file.tell()

    def flush(self) -> None:
        """Nothing to do: the file's owner flushes."""


class SoundFileWriter:
    """A format of libsndfile; on a pipe it is written to a temporary file first."""

    def __init__(
        self, file: BinaryIO, container: str, sample_rate: int, channels: int, encoding: str | None
    ) -> None:
        """Open `container` on `file`."""
        self._target = file
        seekable = file.seekable() and file.readable()
        spool = cast(BinaryIO, tempfile.TemporaryFile(prefix="ncodec-"))  # noqa: SIM115
        self._sink = _Sink(file if seekable else spool)
        name = _container(container)
        lossy = name in ("OGG", "MP3")
        subtype = "OPUS" if container == "opus" else None
        if not lossy:
            subtype = _SUBTYPES[encoding or "s16"]
        elif encoding is not None:
            raise ArgumentError(f"encoding {encoding!r}: {container} has its own")
        self._bits = None if lossy or encoding == "f32" else 24 if encoding == "s24" else 16
        try:
            self._file = soundfile.SoundFile(
                cast(Any, self._sink), "w", sample_rate, channels, subtype, format=name
            )
        except (soundfile.LibsndfileError, ValueError) as error:
            self._check()
            what = (
                f"{sample_rate} Hz, {channels} channels, {encoding or subtype or 'its own coding'}"
            )
            raise ArgumentError(f"{container} cannot hold {what} ({error})") from None

    def write(self, x: Samples) -> None:
        """See AudioWriter."""
        block: Any = x.T
        if self._bits == 16:
            block = quantize_pcm(x.T, 16).astype(np.int16)
        elif self._bits == 24:
            block = quantize_pcm(x.T, 24) << 8
        self._guarded(self._file.write, np.ascontiguousarray(block))

    def finish(self) -> None:
        """See AudioWriter."""
        self._guarded(self._file.close)
        if self._sink.file is not self._target:
            self._sink.file.seek(0)
            shutil.copyfileobj(self._sink.file, self._target, 1 << 20)
            self._sink.file.close()

    def _guarded(self, call: Any, *args: Any) -> None:
        try:
            call(*args)
        except (soundfile.LibsndfileError, AssertionError):
            self._check()
            raise
        self._check()

    def _check(self) -> None:
        if self._sink.error is not None:
            raise self._sink.error
