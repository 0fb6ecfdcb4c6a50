"""Plain samples, behind a WAV header or behind none, from files and pipes."""

from __future__ import annotations

from typing import Protocol

from ncodec.audio.pcm import BYTES, Samples, check_format, decode_pcm
from ncodec.audio.source import Source
from ncodec.audio.tags import Tags
from ncodec.audio.wav import WavHeader, is_wav
from ncodec.errors import ArgumentError, BadFileError


def checked(source: Source, sample_rate: int, channels: int) -> None:
    """Raise BadFileError, with the source's name, for what `check_format` refuses."""
    try:
        check_format(sample_rate, channels)
    except ArgumentError as error:
        raise BadFileError(f"{source.name}: {error}") from None


class _Readable(Protocol):
    def read(self, frames: int) -> Samples: ...


def skip_by_reading(reader: _Readable, frames: int) -> int:
    """Read samples and drop them; return how many there were."""
    left = frames
    while left > 0 and (got := reader.read(min(left, 1 << 15)).shape[1]):
        left -= got
    return frames - left


class PcmReader:
    """Plain interleaved samples behind a header that has been read, or behind none."""

    def __init__(self, source: Source, header: WavHeader, found: Tags = ()) -> None:
        """Stand at the first sample of `source`."""
        checked(source, header.sample_rate, header.channels)
        self.sample_rate, self.channels = header.sample_rate, header.channels
        self.mask, self.tags, self.notes = header.mask, found, source.notes
        self.floats = header.encoding in ("f32", "f64")
        self._source, self._header = source, header
        frame = header.frame_bytes
        self.samples = None if header.data_bytes is None else header.data_bytes // frame
        self._left = self.samples
        self._done = 0

    def read(self, frames: int) -> Samples:
        """See AudioReader."""
        if self._left is not None:
            frames = min(frames, self._left - self._done)
        data = self._source.take(frames * self._header.frame_bytes)
        got, rest = divmod(len(data), self._header.frame_bytes)
        if got < frames:
            self._end(self._done + got, rest)
        self._done += got
        if got == 0:
            self._drain()
        whole = data[: len(data) - rest] if rest else data
        return decode_pcm(whole, self._header.encoding or "", self.channels)

    def skip(self, frames: int) -> int:
        """See AudioReader."""
        if self._left is not None:
            frames = min(frames, self._left - self._done)
        if self._source.seekable:
            here = self._source.file.tell()
            there = (self._source.size() - here) // self._header.frame_bytes
            frames = max(0, min(frames, there))
            self._source.file.seek(here + frames * self._header.frame_bytes)
            self._done += frames
            return frames
        return skip_by_reading(self, frames)

    def close(self) -> None:
        """See AudioReader."""
        self._source.close()

    def _end(self, there: int, rest: int) -> None:
        if self._left is not None:
            promised, self._left = self._left, there
            self._source.report_short(there, promised, self.sample_rate)
        elif rest:
            size = BYTES[self._header.encoding or ""] * self.channels
            self._source.warn(f"{rest} odd bytes at the end (frame: {size})")

    def _drain(self) -> None:
        """Read chunks that stand behind the samples, so that the writer's pipe does not break."""
        self._source.check_unchanged()
        if self._left is None:
            return
        padding = (self._header.data_bytes or 0) % 2
        start = self._source.take(padding + 12)[padding:]
        self._left = None
        if is_wav(start):
            self._source.report("a second WAV file stands behind the first: it would be lost")
        while self._source.file.read(1 << 16):
            pass
