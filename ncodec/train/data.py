"""Random segments of audio: item i of a run is always the same, whoever reads it and whenever.

Everything that is drawn for an item comes from a generator seeded with the run's seed and the
item's number, so that a resumed run hears what it would have heard, and processes that share a run
hear what one process with the larger batch would.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ncodec.errors import ArgumentError
from ncodec.train.config import DataSection
from ncodec.train.sources import Clip
from ncodec.train.tones import draw_tones

log = logging.getLogger("ncodec")

Samples = NDArray[np.float32]
_QUIET_DB = (-50.0, -15.0)
_SPEED = (0.85, 1.18)
_MIX_GAIN = 0.3  # 10 dB below
_EQUALISER_DB = 5.0  # standard deviation at each of its points
_EQUALISER_POINTS = 7
_ATTEMPTS = 20


class Segments(Dataset[Tensor]):
    """Item i: a segment `[C, T]` drawn from `clips`, augmented.

    Args:
        clips: What to draw from, by duration within a kind.
        options: Shares, length and augmentation.
        sample_rate: Of the segments, in Hz.
        channels: Of the segments; mono files fill both, stereo is mixed down for 1.
        samples: Length of a segment.
        seed: Of all draws.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        options: DataSection,
        *,
        sample_rate: int,
        channels: int,
        samples: int,
        seed: int,
    ) -> None:
        self._options, self._seed = options, seed
        self._rate, self._channels, self._samples = sample_rate, channels, samples
        shares = dict(options.kinds) or {"": 1.0}
        self._kinds: list[tuple[list[Clip], NDArray[np.float64]]] = []
        for kind in shares:
            chosen = [clip for clip in clips if clip.kind == kind or not options.kinds]
            if not chosen:
                raise ArgumentError(f"data.kinds: no clip of kind {kind!r} in the sources")
            self._kinds.append((chosen, np.cumsum([clip.seconds for clip in chosen])))
        self._shares = np.array(list(shares.values())) / sum(shares.values())
        self._broken: set[Clip] = set()

    def __getitem__(self, index: int) -> Tensor:
        """Return segment `index`, float32 `[C, T]`."""
        rng = np.random.default_rng([self._seed, index])
        return torch.from_numpy(self._augmented(rng))

    def _augmented(self, rng: np.random.Generator) -> Samples:
        o = self._options
        tones, equalise, mix, silence, quiet = rng.random(5) < (
            o.tones,
            o.equalise,
            o.mix,
            o.silence,
            o.quiet,
        )
        x = self._tones(rng) if tones else self._draw(rng)
        if equalise:
            x = _equalised(x, rng)
        x *= 10 ** (np.clip(rng.normal(o.gain_mean_db, o.gain_db), -20, 6) / 20)
        if mix:
            x += _MIX_GAIN * self._draw(rng)
        if silence:
            cut = rng.integers(self._samples)
            x[:, slice(0, cut) if rng.random() < 0.5 else slice(cut, None)] = 0
        if quiet:
            x *= 10 ** (rng.uniform(*_QUIET_DB) / 20)
        return x / max(1.0, float(np.abs(x).max()))

    def _tones(self, rng: np.random.Generator) -> Samples:
        channels = [draw_tones(rng, self._samples, self._rate) for _ in range(self._channels)]
        return np.stack(channels)

    def _draw(self, rng: np.random.Generator) -> Samples:
        for _ in range(_ATTEMPTS):
            clips, ends = self._kinds[rng.choice(len(self._kinds), p=self._shares)]
            clip = clips[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]
            if clip in self._broken:
                continue
            try:
                return self._read(clip, rng)
            except (soundfile.LibsndfileError, OSError) as error:
                log.warning("%s: skipped: %s", clip.path, error)
                self._broken.add(clip)
        raise ArgumentError(f"{_ATTEMPTS} files in a row could not be read; see the warnings")

    def _read(self, clip: Clip, rng: np.random.Generator) -> Samples:
        speed = rng.uniform(*_SPEED) if rng.random() < self._options.speed else 1.0
        with soundfile.SoundFile(str(clip.path)) as file:
            rate = file.samplerate * speed
            needed = int(np.ceil(self._samples * rate / self._rate)) + 1
            file.seek(int(rng.integers(max(1, file.frames - needed + 1))))
            x = cast(Samples, file.read(needed, dtype="float32", always_2d=True))
        if rate != self._rate:
            x = soxr.resample(x, rate, self._rate)
        x = _to_channels(x.T, self._channels)[:, : self._samples]
        return np.pad(x, ((0, 0), (0, self._samples - x.shape[1])))


def _equalised(x: Samples, rng: np.random.Generator) -> Samples:
    """Through a random smooth filter of either polarity, without delay: another microphone."""
    spectrum = np.fft.rfft(x)
    bins = spectrum.shape[-1]
    points = rng.normal(0, _EQUALISER_DB, _EQUALISER_POINTS)
    warped = np.sqrt(np.linspace(0, 1, bins))  # finer where hearing is
    gain_db = np.interp(warped, np.linspace(0, 1, _EQUALISER_POINTS), points)
    gain = rng.choice([-1, 1]) * 10 ** (gain_db / 20)
    return np.fft.irfft(spectrum * gain, x.shape[-1]).astype(np.float32)


def _to_channels(x: Samples, channels: int) -> Samples:
    if channels == 1:
        return x.mean(axis=0, keepdims=True)
    return np.repeat(x[:1], channels, axis=0) if len(x) == 1 else x[:channels]


class _From(Sampler[int]):
    """This process's items from `step` on, for ever."""

    def __init__(self, step: int, batch: int, rank: int, world: int) -> None:
        self._first = step * batch * world + rank * batch
        self._batch, self._stride = batch, batch * world

    def __iter__(self) -> Iterator[int]:
        start = self._first
        while True:
            yield from range(start, start + self._batch)
            start += self._stride


def batches(
    segments: Segments, options: DataSection, *, step: int, rank: int, world: int
) -> Iterator[Tensor]:
    """Yield batches `[B, C, T]` of process `rank` of `world`, from training step `step` on."""
    loader: DataLoader[Any] = DataLoader(
        segments,
        batch_size=options.batch,
        sampler=_From(step, options.batch, rank, world),
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
    )
    return iter(loader)


def read_clip(clip: Clip, sample_rate: int, channels: int, seconds: float | None = None) -> Samples:
    """Read a clip, or its first `seconds`, as float32 `[C, T]`."""
    with soundfile.SoundFile(str(clip.path)) as file:
        frames = -1 if seconds is None else int(seconds * file.samplerate)
        x = cast(Samples, file.read(frames, dtype="float32", always_2d=True))
        if file.samplerate != sample_rate:
            x = soxr.resample(x, file.samplerate, sample_rate)
    return _to_channels(x.T, channels)
