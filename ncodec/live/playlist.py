"""The decoded sound of files, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from ncodec.audio import Resampler, Samples
from ncodec.errors import ArgumentError

PIPE = "-"


class Sound(Protocol):
    """Decoded sound: `ncodec.codec.FileDecoder` is one."""

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
