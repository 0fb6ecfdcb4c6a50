"""A bounded FIFO of samples between one writing thread and one reading thread, without locks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError


class Fifo:
    """Samples `[T, C]` as sound devices have them; what does not fit is dropped, and told.

    `written` and `taken` count frames since the beginning. Each has one writer, so with the
    interpreter's atomic attribute stores no lock is needed, and a callback never waits.
    """

    def __init__(self, channels: int, capacity: int) -> None:
        """Make room for `capacity` frames."""
        if channels < 1 or capacity < 1:
            raise ArgumentError(f"FIFO of {capacity} x {channels}: both must be 1 or more")
        self._ring = np.zeros((capacity, channels), np.float32)
        self.capacity = capacity
        self.written = self.taken = 0

    @property
    def fill(self) -> int:
        """Frames that wait to be taken."""
        return self.written - self.taken

    @property
    def room(self) -> int:
        """Frames that can be written."""
        return self.capacity - self.fill

    def write(self, x: NDArray[np.float32]) -> int:
        """Append `[T, C]`; return how many frames fitted (the last ones are dropped)."""
        count = min(len(x), self.room)
        at = self.written % self.capacity
        first = min(count, self.capacity - at)
        self._ring[at : at + first] = x[:first]
        self._ring[: count - first] = x[first:count]
        self.written += count
        return count

    def read_into(self, out: NDArray[np.float32]) -> int:
        """Fill the beginning of `out` `[T, C]` with what is there; return how many frames."""
        count = min(len(out), self.fill)
        at = self.taken % self.capacity
        first = min(count, self.capacity - at)
        out[:first] = self._ring[at : at + first]
        out[first:count] = self._ring[: count - first]
        self.taken += count
        return count

    def read(self, frames: int) -> NDArray[np.float32]:
        """Take up to `frames` frames `[T, C]`."""
        out = np.empty((min(frames, self.fill), self._ring.shape[1]), np.float32)
        self.read_into(out)
        return out

    def skip(self, frames: int) -> int:
        """Throw up to `frames` of the oldest frames away (the reader's side); return how many."""
        count = min(max(frames, 0), self.fill)
        self.taken += count
        return count
