"""From the model's samples to the output's: channels, rate, gain, and the exact begin and end."""

from __future__ import annotations

import copy

import numpy as np

from ncodec.audio import Resampler, Samples
from ncodec.codec.layout import from_streams
from ncodec.errors import ArgumentError
from ncodec_formats import Header
from ncodec_formats.timeline import Timeline

RESAMPLER_REACH = 2048
"""Model samples on each side that soxr's "HQ" filter may draw on, with room (its longest filter,
for halving the rate, has about 400 taps)."""


class OutputStage:
    """Take model samples `[S, Cm, T]` that begin at `origin`; give the output's `[C, T]`.

    `begin` and `end` are source samples; `held` model samples are kept back until the end of the
    source is known, since the last frame may reach beyond it.
    """

    def __init__(
        self, header: Header, timeline: Timeline, *, begin: int, end: int | None, held: int
    ) -> None:
        """Wait for `open`."""
        self._header, self._timeline = header, timeline
        self._begin = timeline.source_to_out(begin)
        self._end = None if end is None else timeline.source_to_out(end)
        self._held_most = held
        self._gain = np.float32(10 ** (header.gain_db / 20))
        self._held = np.zeros((header.source_channels, 0), np.float32)
        self._resampler = Resampler(header.sample_rate, timeline.rate, header.source_channels)
        self._model_at = self._out_at = 0

    @property
    def held(self) -> int:
        """Model samples that are kept back."""
        return self._held_most

    @property
    def resamples(self) -> bool:
        """Whether the rates differ."""
        return self._header.sample_rate != self._timeline.rate

    def open(self, origin: int) -> None:
        """Say which model sample the first one pushed is."""
        step = self._timeline.alignment
        aligned = -(-origin // step) * step
        self._model_at = origin
        self._skip = aligned - origin
        self._out_at = aligned * self._timeline.rate // self._header.sample_rate

    def push(self, y: Samples) -> Samples:
        """Take model samples, return output samples."""
        x = from_streams(y, self._header.source_channels)
        self._model_at += x.shape[1]
        skip = min(self._skip, x.shape[1])
        self._skip -= skip
        x = x[:, skip:]
        if self._held_most:
            x = np.concatenate([self._held, x], axis=1)
            cut = max(x.shape[1] - self._held_most, 0)
            x, self._held = x[:, :cut], x[:, cut:]
        return self._cut(self._resampler.push(np.ascontiguousarray(x)))

    def finish(self, source_samples: int | None) -> Samples:
        """Give the rest; with a total, exactly up to it."""
        rest = self._held
        if source_samples is not None:
            total = self._timeline.source_to_model(source_samples)
            missing = total - (self._model_at - rest.shape[1])
            rest = rest[:, : max(missing, 0)]
            last = self._timeline.source_to_out(source_samples)
            self._end = last if self._end is None else min(self._end, last)
        parts = [self._cut(self._resampler.push(np.ascontiguousarray(rest)))]
        parts.append(self._cut(self._resampler.finish()))
        if source_samples is not None and self._end is not None:
            short = max(self._end - max(self._out_at, self._begin), 0)
            parts.append(np.zeros((rest.shape[0], short), np.float32))
        return np.concatenate(parts, axis=1)

    def snapshot(self) -> OutputStage:
        """Return a copy that goes on from here.

        Raises:
            ArgumentError: the rates differ; a resampler cannot be copied.
        """
        if self.resamples:
            raise ArgumentError(
                f"snapshot at {self._timeline.rate} Hz: only possible at the model's "
                f"{self._header.sample_rate} Hz, without resampling"
            )
        twin = copy.copy(self)
        twin._resampler = copy.copy(self._resampler)
        return twin

    def _cut(self, x: Samples) -> Samples:
        """Keep what lies between begin and end."""
        at, self._out_at = self._out_at, self._out_at + x.shape[1]
        first = max(self._begin - at, 0)
        last = x.shape[1] if self._end is None else max(self._end - at, 0)
        x = x[:, first:last]
        return x if self._gain == 1 else x * self._gain
