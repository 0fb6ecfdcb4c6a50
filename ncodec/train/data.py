"""Random segments of audio: item i of a run is always the same, whoever reads it and whenever.

Everything that is drawn for an item comes from a generator seeded with the run's seed, the item's
number and, where a file that was drawn cannot be used, the number of the attempt; nothing depends
on what was read before. So a resumed run hears what it would have heard, and processes that share a
run hear what one process with the larger batch would.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ncodec.audio import AudioReader, check_finite, mix_channels, open_audio, read_frames
from ncodec.errors import ArgumentError, NcodecError
from ncodec.train.config import DataSection
from ncodec.train.sources import Clip
from ncodec.train.stopping import ignore_signals
from ncodec.train.tones import draw_tones

log = logging.getLogger("ncodec")

Samples = NDArray[np.float32]
_QUIET_DB = (-50.0, -15.0)
_SPEED = (0.85, 1.18)
_MIX_GAIN = 0.3  # 10 dB below
_EQUALISER_DB = 5.0  # standard deviation at each of its points
_EQUALISER_POINTS = 7
_ATTEMPTS = 20
_LOUDEST = 1e6  # files of floats that go beyond +120 dB full scale are damaged


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
        parts = by_kind(clips, options.kinds)
        self._kinds = [(part, np.cumsum([clip.seconds for clip in part])) for part, _ in parts]
        shares = np.array([share for _, share in parts])
        self._shares = shares / shares.sum()
        self._named: set[Path] = set()
        self._checked: dict[Path, ArgumentError | None] = {}

    def __getitem__(self, index: int) -> Tensor:
        """Return segment `index`, float32 `[C, T]`.

        Raises:
            ArgumentError: Time and again the files that were drawn could not be used.
        """
        for attempt in range(_ATTEMPTS):
            # a seed's zeros at the end count for nothing: the first attempt's is [seed, index]
            rng = np.random.default_rng([self._seed, index, attempt])
            try:
                return torch.from_numpy(self._augmented(rng))
            except _UnusableError as error:
                if error.path not in self._named:
                    log.warning("%s: skipped: %s", error.path, error.reason)
                    self._named.add(error.path)
        raise ArgumentError(f"{_ATTEMPTS} files in a row could not be read; see the warnings")

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
        clips, ends = self._kinds[rng.choice(len(self._kinds), p=self._shares)]
        clip = clips[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]
        try:
            return self._read(clip, rng)
        except (NcodecError, OSError) as error:
            raise _UnusableError(clip.path, error) from error

    def _read(self, clip: Clip, rng: np.random.Generator) -> Samples:
        speed = rng.uniform(*_SPEED) if rng.random() < self._options.speed else 1.0
        with closing(open_audio(clip.path, with_tags=False)) as reader:
            self._check(clip.path, reader)
            rate = reader.sample_rate * speed
            needed = int(np.ceil(self._samples * rate / self._rate)) + 1
            there = round(clip.seconds * reader.sample_rate)
            reader.skip(int(rng.integers(max(1, there - needed + 1))))
            x = read_frames(reader, needed).T
        _check_samples(x, 0, reader.sample_rate)
        if rate != self._rate:
            x = soxr.resample(x, rate, self._rate)
        x = mix_channels(x.T, self._channels)[:, : self._samples]
        return np.pad(x, ((0, 0), (0, self._samples - x.shape[1])))

    def _check(self, path: Path, reader: AudioReader) -> None:
        """Read a file of floats once to its end: with a NaN in it, it is left out wholly."""
        if not reader.floats:
            return
        if path not in self._checked:
            self._checked[path] = None
            try:
                done = 0
                with closing(open_audio(path, with_tags=False)) as whole:
                    while (block := whole.read(1 << 16)).shape[1]:
                        _check_samples(block.T, done, whole.sample_rate)
                        done += block.shape[1]
            except ArgumentError as error:
                self._checked[path] = error
        fault = self._checked[path]
        if fault is not None:
            raise fault


class _UnusableError(Exception):
    """A file that cannot be trained on, and why."""

    def __init__(self, path: Path, reason: Exception) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason


def _check_samples(x: Samples, offset: int, rate: int) -> None:
    """Refuse samples `[T, C]` that are no finite numbers, or far beyond full scale."""
    check_finite(x.T, offset, rate, "audio")
    peak = float(np.abs(x).max(initial=0))
    if peak > _LOUDEST:
        raise ArgumentError(f"samples of up to {peak:.3g}: must be within ±{_LOUDEST:g}")


def by_kind(
    clips: Sequence[Clip], kinds: Mapping[str, float]
) -> list[tuple[Sequence[Clip], float]]:
    """Return the clips of each kind with its share; all by duration where none names a kind.

    Raises:
        ArgumentError: A kind that is asked for has no clip, while others are named.
    """
    there = {clip.kind for clip in clips}
    if not kinds:
        return [(clips, 1.0)]
    if there == {""}:
        log.warning(
            "data.kinds: the sources name no kinds; all is used by duration instead (a .csv with a "
            "column `kind` names them, data.kinds={} says the same without this warning)"
        )
        return [(clips, 1.0)]
    unknown = there - set(kinds)
    if unknown:
        left = [clip for clip in clips if clip.kind in unknown]
        named = ", ".join(sorted(repr(kind) for kind in unknown))
        log.warning("data.kinds: %d recordings of kind %s are left out", len(left), named)
    parts: list[tuple[Sequence[Clip], float]] = []
    for kind, share in kinds.items():
        chosen = [clip for clip in clips if clip.kind == kind]
        if not chosen:
            have = ", ".join(sorted(repr(kind) for kind in there))
            raise ArgumentError(f"data.kinds: no clip of kind {kind!r} in the sources, only {have}")
        parts.append((chosen, share))
    return parts


def _equalised(x: Samples, rng: np.random.Generator) -> Samples:
    """Through a random smooth filter of either polarity, without delay: another microphone."""
    spectrum = np.fft.rfft(x)
    bins = spectrum.shape[-1]
    points = rng.normal(0, _EQUALISER_DB, _EQUALISER_POINTS)
    warped = np.sqrt(np.linspace(0, 1, bins))  # finer where hearing is
    gain_db = np.interp(warped, np.linspace(0, 1, _EQUALISER_POINTS), points)
    gain = rng.choice([-1, 1]) * 10 ** (gain_db / 20)
    return np.fft.irfft(spectrum * gain, x.shape[-1]).astype(np.float32)


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
    """Yield batches `[B, C, T]` of process `rank` of `world`, from training step `step` on.

    Raises:
        ArgumentError: As `Segments` does, also where a worker read.
    """
    loader: DataLoader[Any] = DataLoader(
        segments,
        batch_size=options.batch,
        sampler=_From(step, options.batch, rank, world),
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        worker_init_fn=ignore_signals,
    )
    iterator: Any = iter(loader)
    # Workers ignore the signals that end a run, and so the one that would end them at its exit.
    end = iterator._shutdown_workers if options.workers else _nothing
    atexit.register(end)
    try:
        yield from iterator
    except NcodecError as error:  # from a worker it comes with a traceback in its text
        raise type(error)(str(error).rstrip().splitlines()[-1].split("Error: ")[-1]) from None
    finally:
        atexit.unregister(end)
        end()


def _nothing() -> None:
    """There are no workers."""


def read_clip(clip: Clip, sample_rate: int, channels: int, seconds: float | None = None) -> Samples:
    """Read a clip, or its first `seconds`, as float32 `[C, T]`."""
    with closing(open_audio(clip.path, with_tags=False)) as reader:
        rate = reader.sample_rate
        x = read_frames(reader, None if seconds is None else int(seconds * rate)).T
    if rate != sample_rate:
        x = soxr.resample(x, rate, sample_rate)
    return mix_channels(x.T, channels)
