"""The sound of files, decoded or as it is, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from ncodec.audio import Resampler, Samples, open_audio
from ncodec.errors import ArgumentError

PIPE = "-"


class Sound(Protocol):
    """Sound: `ncodec.codec.FileDecoder` and `AudioFile` are such."""

    sample_rate: int
    channels: int
    packet_seconds: float

    @property
    def seconds(self) -> float | None:
        """Length from where it begins, if known."""
        ...

    def __iter__(self) -> Iterator[Samples]:
        """Return the blocks `[C, T]`."""
        ...


class AudioFile:
    """Sound that is no code: whatever `ncodec.audio.open_audio` reads."""

    packet_seconds = 1.0
    """It comes as fast as it is read, so that a pipe of it is never taken for a live stream."""

    def __init__(self, file: BinaryIO, start: float = 0.0, *, keep_going: bool = False) -> None:
        """Open it, and pass over what lies before `start`, in seconds.

        Raises:
            BadFileError: it is no audio, or is damaged before that.
            ArgumentError: it ends before that.
        """
        self._reader = open_audio(file, allow_truncated=keep_going)
        self.sample_rate, self.channels = self._reader.sample_rate, self._reader.channels
        self._start = start
        left = round(start * self.sample_rate)
        while left > 0:
            passed = self._reader.read(min(left, self.sample_rate)).shape[1]
            if passed == 0:
                length = start - left / self.sample_rate
                raise ArgumentError(f"start {start:g} s lies beyond the end, at {length:g} s")
            left -= passed

    @property
    def seconds(self) -> float | None:
        """Length from where it begins, if known."""
        samples = self._reader.samples
        return None if samples is None else max(samples / self.sample_rate - self._start, 0.0)

    def __iter__(self) -> Iterator[Samples]:
        """Return the blocks `[C, T]`."""
        with closing(self._reader):
            while (block := self._reader.read(self.sample_rate // 4)).shape[1]:
                yield block


Opener = Callable[[BinaryIO, float], Sound]
"""Opens a file at a time in seconds."""


class Playlist:
    """Files, and the blocks of the one that is open; "-" is standard input.

    All of them are given at the rate `rate`, in Hz, to be set before the first `read`.
    """

    def __init__(self, paths: Sequence[str], opener: Opener) -> None:
        """Open nothing yet.

        Raises:
            ArgumentError: there are no paths.
        """
        if not paths:
            raise ArgumentError("nothing to play: give one file or more")
        self.paths = list(paths)
        self.track = self.rate = 0
        self.length: float | None = None
        self._opener = opener
        self._file: BinaryIO | None = None
        self._blocks: Iterator[Samples] = iter(())

    @property
    def path(self) -> str:
        """The file that is open."""
        return self.paths[self.track]

    @property
    def at_last(self) -> bool:
        """Whether no file follows."""
        return self.track + 1 == len(self.paths)

    def open(self, track: int, seconds: float) -> Sound:
        """Go to a time of a file.

        Raises:
            NcodecError, OSError: it cannot be played; there is nothing to `read` of it then.
        """
        self.close()
        self.track, self.length = track, None
        self._file = _open(self.path)
        sound = self._opener(self._file, seconds)
        self.length = None if sound.seconds is None else seconds + sound.seconds
        self._blocks = self._resampled(sound)
        return sound

    def read(self) -> Samples | None:
        """Return the next block `[C, T]` of the file, or None at its end.

        Raises:
            NcodecError, OSError: the rest of it cannot be played; the next `read` says None.
        """
        return next(self._blocks, None)

    def close(self) -> None:
        """Close what is open."""
        self._blocks = iter(())
        if self._file is not None and self.path != PIPE:
            with suppress(OSError):
                self._file.close()
        self._file = None

    def _resampled(self, sound: Sound) -> Iterator[Samples]:
        resampler = Resampler(sound.sample_rate, self.rate, sound.channels)
        for block in sound:
            yield resampler.push(block)
        yield resampler.finish()


def _open(path: str) -> BinaryIO:
    """Open a file, or standard input once more.

    The interpreter cannot end while a thread waits for its own `sys.stdin`.
    """
    return open(sys.stdin.fileno(), "rb", closefd=False) if path == PIPE else Path(path).open("rb")
