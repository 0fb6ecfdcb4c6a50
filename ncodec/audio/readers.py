"""Read audio block by block: what libsndfile opens, raw samples, WAV from endless pipes."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from ncodec.audio.pcm import BYTES, RawFormat, Samples, check_format, decode_pcm
from ncodec.audio.source import Source
from ncodec.audio.wav import WavHeader, is_wav, read_header
from ncodec.errors import BadFileError

log = logging.getLogger("ncodec")


class AudioReader(Protocol):
    """A source of samples; `samples` is the length that its header promises, or None."""

    sample_rate: int
    channels: int
    samples: int | None

    def read(self, frames: int) -> Samples:
        """Return the next samples `[C, T]`, T <= frames; T == 0 only at the end."""
        ...

    def close(self) -> None:
        """Close what was opened here; a file object that was given stays open."""
        ...


def open_audio(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    raw: RawFormat | None = None,
    allow_truncated: bool = False,
    name: str | None = None,
) -> AudioReader:
    """Open a path or a binary file object (a pipe is fine) for reading in blocks.

    Args:
        source: a path, or an open binary file, seekable or not.
        raw: the format of samples without a header.
        allow_truncated: where a file ends before its header says, warn and give what is there.
        name: how errors call the source; its path by default.

    Raises:
        BadFileError: not audio that is known, damaged, or shorter than it says.
        OSError: the file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        file, own, name = Path(source).open("rb"), True, name or str(source)  # noqa: SIM115
    else:
        file, own, name = source, False, name or getattr(source, "name", None) or "input"
    source_file = Source(file, own=own, name=str(name), allow_truncated=allow_truncated)
    try:
        if raw is not None:
            header = WavHeader(raw.encoding, raw.sample_rate, raw.channels, None)
            return PcmReader(source_file, header)
        return _open_container(source_file)
    except BaseException:
        source_file.close()
        raise


def _open_container(source: Source) -> AudioReader:
    if source.seekable:
        return _open_file(source)
    seen = io.BytesIO()

    def read(size: int) -> bytes:
        data = source.take(size)
        seen.write(data)
        return data

    header = _wav_header(source, read)
    if header is not None:
        return PcmReader(source, header)
    return SoundFileReader(source.spooled(seen.getvalue()))


def _open_file(source: Source) -> AudioReader:
    """Open what can seek; libsndfile would not tell a WAV file that is shorter than it says."""
    base = source.tell()
    header = _wav_header(source, source.take)
    if header is not None:
        if header.data_bytes is None:
            return PcmReader(source, header)
        start = source.tell()
        there = source.seek(0, io.SEEK_END) - start
        if there < header.data_bytes:
            frame = header.frame_bytes
            source.report_short(there // frame, header.data_bytes // frame, header.sample_rate)
    source.seek(base)
    return SoundFileReader(source)


def _wav_header(source: Source, read: Callable[[int], bytes]) -> WavHeader | None:
    start = read(12)
    if not start:
        raise BadFileError(f"{source.name}: the input is empty")
    try:
        return read_header(start, read) if is_wav(start) else None
    except BadFileError as error:
        raise BadFileError(f"{source.name}: {error}") from None


class PcmReader:
    """Plain interleaved samples behind a header that has been read, or behind none."""

    def __init__(self, source: Source, header: WavHeader) -> None:
        """Stand at the first sample of `source`."""
        check_format(header.sample_rate, header.channels)
        self.sample_rate, self.channels = header.sample_rate, header.channels
        self._source, self._header = source, header
        frame = header.frame_bytes
        self.samples = None if header.data_bytes is None else header.data_bytes // frame
        self._done = 0

    def read(self, frames: int) -> Samples:
        """See AudioReader."""
        if self.samples is not None:
            frames = min(frames, self.samples - self._done)
        data = self._source.take(frames * self._header.frame_bytes)
        got, rest = divmod(len(data), self._header.frame_bytes)
        if got < frames:
            self._end(self._done + got, rest)
        self._done += got
        if got == 0:
            self._drain()
        whole = data[: len(data) - rest] if rest else data
        return decode_pcm(whole, self._header.encoding, self.channels)

    def close(self) -> None:
        """See AudioReader."""
        self._source.close()

    def _end(self, there: int, rest: int) -> None:
        if self.samples is not None:
            promised, self.samples = self.samples, there
            self._source.report_short(there, promised, self.sample_rate)
        elif rest:
            size = BYTES[self._header.encoding] * self.channels
            log.warning("%s: %d odd bytes at the end (frame: %d)", self._source.name, rest, size)

    def _drain(self) -> None:
        """Read chunks that stand behind the samples, so that the writer's pipe does not break."""
        self._source.check_unchanged()
        while self._source.file.read(1 << 16):
            pass


class SoundFileReader:
    """Whatever libsndfile reads, from a file that can seek."""

    def __init__(self, source: Source) -> None:
        """Open; errors of the file itself come before errors of its format."""
        self._source = source
        try:
            self._file = soundfile.SoundFile(cast(Any, source))
        except soundfile.LibsndfileError as error:
            self._raise(error)
        check_format(self._file.samplerate, self._file.channels)
        self.sample_rate, self.channels = self._file.samplerate, self._file.channels
        # libsndfile gives a huge number where a FLAC or MP3 stream does not know.
        known = 0 <= self._file.frames < 1 << 48
        self.samples: int | None = self._file.frames if known else None
        self._done = 0

    def read(self, frames: int) -> Samples:
        """See AudioReader."""
        try:
            block = self._file.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            block = self._damaged(error)
        if self._source.error is not None:
            raise self._source.error
        self._done += len(block)
        if len(block) == 0:
            self._end()
        return np.ascontiguousarray(block.T)

    def close(self) -> None:
        """See AudioReader."""
        self._file.close()
        self._source.close()

    def _end(self) -> None:
        self._source.check_unchanged()
        # The lengths of MP3 and Ogg are found by scanning, not promised.
        if self._file.format == "FLAC" and self.samples and self._done < self.samples:
            promised, self.samples = self.samples, self._done
            self._source.report_short(self._done, promised, self.sample_rate)

    def _damaged(self, error: soundfile.LibsndfileError) -> NDArray[np.float32]:
        if self._source.error is not None:
            raise self._source.error
        reason = str(error.error_string).rstrip(".")
        at = f"sample {self._done} ({self._done / self.sample_rate:.3f} s)"
        self._source.report(f"damaged or cut short at {at}: {reason}")
        self.samples = self._done
        return np.zeros((0, self.channels), np.float32)

    def _raise(self, error: soundfile.LibsndfileError) -> NoReturn:
        if self._source.error is not None:
            raise self._source.error
        reason = str(error.error_string).rstrip(".")
        raise BadFileError(f"{self._source.name}: not readable as audio ({reason})") from None
