"""Arrays read as files are."""

from __future__ import annotations

from typing import Any, cast

from numpy.typing import NDArray

from ncodec.audio.pcm import Samples


class ArrayReader:
    """An array `[C, T]` with the interface of an `AudioReader`."""

    def __init__(self, audio: NDArray[Any], rate: int) -> None:
        """Begin at its first sample; `rate` is in Hz."""
        self.sample_rate, self._audio, self._at = rate, audio, 0
        self.channels, self.samples = audio.shape
        self.mask: int | None = None
        self.tags: tuple[tuple[str, str], ...] = ()
        self.notes: list[str] = []
        self.floats = audio.dtype.kind == "f"

    def read(self, frames: int) -> Samples:
        """See AudioReader."""
        part = self._audio[:, self._at : self._at + frames]
        self._at += part.shape[1]
        return cast(Samples, part)

    def again(self) -> ArrayReader:
        """Return one that begins anew."""
        return ArrayReader(self._audio, self.sample_rate)

    def skip(self, frames: int) -> int:
        """See AudioReader."""
        return self.read(frames).shape[1]

    def close(self) -> None:
        """Nothing is open."""
