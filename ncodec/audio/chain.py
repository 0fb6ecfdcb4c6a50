"""Streams that stand one behind the other, read as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ncodec.audio.pcm import Samples
from ncodec.audio.resample import Resampler, mix_channels
from ncodec.audio.source import Source
from ncodec.audio.tags import Tags
from ncodec.errors import BadFileError

if TYPE_CHECKING:
    from ncodec.audio.readers import AudioReader


class ChainReader:
    """One reader after another; those of another rate are resampled to the first one's."""

    def __init__(
        self, source: Source, readers: Iterator[AudioReader], found: Tags, *, known: bool = True
    ) -> None:
        """Take readers, each opened when the one before has ended.

        `known`: the first one's length is the whole's, as far as is known now.
        """
        self._source, self._readers = source, readers
        self._reader = next(readers)
        self._number = 1
        self._resampler: Resampler | None = None
        self._rest = np.zeros((self._reader.channels, 0), np.float32)
        self.sample_rate, self.channels = self._reader.sample_rate, self._reader.channels
        self.samples = self._reader.samples if known else None
        self.mask, self.tags, self.notes = self._reader.mask, found, source.notes
        self.floats = self._reader.floats

    def read(self, frames: int) -> Samples:
        """See AudioReader."""
        while not self._rest.shape[1]:
            x = self._reader.read(frames)
            ended = x.shape[1] == 0
            if self._resampler is not None:
                x = self._resampler.finish() if ended else self._resampler.push(x)
                self._resampler = None if ended else self._resampler
            self._rest = mix_channels(x, self.channels)
            if ended and not self._rest.shape[1] and not self._go_on():
                break
        x, self._rest = self._rest[:, :frames], self._rest[:, frames:]
        return x

    def skip(self, frames: int) -> int:
        """See AudioReader."""
        left = frames
        while left > 0:
            plain = self._resampler is None and not self._rest.shape[1]
            got = self._reader.skip(left) if plain else 0
            got = got or self.read(min(left, 1 << 15)).shape[1]  # which goes on to the next
            if not got:
                break
            left -= got
        return frames - left

    def close(self) -> None:
        """See AudioReader."""
        self._reader.close()
        self._source.close()

    def _go_on(self) -> bool:
        reader = next(self._readers, None)
        if reader is None:
            return False
        self._reader.close()
        self._reader, self.samples = reader, None
        self._number += 1
        if reader.channels not in (1, self.channels):
            raise BadFileError(
                f"{self._source.name}: stream {self._number} in it has {reader.channels} channels, "
                f"the first has {self.channels}; take them apart first"
            )
        if reader.sample_rate != self.sample_rate:
            self._resampler = Resampler(reader.sample_rate, self.sample_rate, reader.channels)
        return True
