"""Endless random items: item i is always the same, whoever reads it and whenever.

Everything that is drawn for an item comes from a generator seeded with the seed of all, the item's
number and, where a file that was drawn cannot be used, the number of the attempt; nothing depends
on what was read before. So a run that goes on hears what it would have heard, and processes that
share a run hear what one process with the larger batch would.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ncodec.audio import Samples, mix_channels
from ncodec.datasets.catalogue import Clip
from ncodec.datasets.reading import check_whole, read_samples, resample
from ncodec.datasets.tones import draw_tones
from ncodec.errors import ArgumentError, NcodecError, in_words

log = logging.getLogger("ncodec")

_QUIET_DB = (-50.0, -15.0)
_SPEED = (0.85, 1.18)
_MIX_GAIN = 0.3  # 10 dB below
_EQUALISER_DB = 5.0  # standard deviation at each of its points
_EQUALISER_POINTS = 7
_ATTEMPTS = 20


class Item(NamedTuple):
    """What is heard, and where it is from.

    Attributes:
        audio: float32 `[C, T]`.
        clip: The recording; None for synthetic tones.
        start: Where it begins there, in seconds.
    """

    audio: Samples
    clip: Clip | None
    start: float


class Draw:
    """Draws a recording, by duration within its kind.

    Args:
        clips: What to draw from.
        kinds: Share of each kind; all by duration if empty, or if no clip names its kind.

    Raises:
        ArgumentError: A kind that is asked for has no clip, while others are named.
    """

    def __init__(self, clips: Sequence[Clip], kinds: Mapping[str, float]) -> None:
        parts = _by_kind(clips, kinds)
        self._kinds = [(part, np.cumsum([clip.seconds for clip in part])) for part, _ in parts]
        shares = np.array([share for _, share in parts])
        self._shares = shares / shares.sum()

    def __call__(self, rng: np.random.Generator) -> Clip:
        """Draw one."""
        clips, ends = self._kinds[rng.choice(len(self._kinds), p=self._shares)]
        return clips[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]


@dataclass(frozen=True)
class Augment:
    """How items differ from recordings: see `DataSection` for what each number means."""

    gain_db: float = 0.0
    gain_mean_db: float = 0.0
    mix: float = 0.0
    silence: float = 0.0
    quiet: float = 0.0
    speed: float = 0.0
    equalise: float = 0.0
    tones: float = 0.0

    def draw_speed(self, rng: np.random.Generator) -> float:
        """Draw how much faster an item plays."""
        return rng.uniform(*_SPEED) if rng.random() < self.speed else 1.0

    def apply(
        self,
        rng: np.random.Generator,
        draw: Callable[[np.random.Generator], Item],
        tones: Callable[[np.random.Generator], Samples],
    ) -> Item:
        """Return an item of what `draw` and `tones` give."""
        chances = self.tones, self.equalise, self.mix, self.silence, self.quiet
        toned, equalise, mix, silence, quiet = rng.random(5) < chances
        item = Item(tones(rng), None, 0.0) if toned else draw(rng)
        x = item.audio
        if equalise:
            x = _equalised(x, rng)
        x *= 10 ** (np.clip(rng.normal(self.gain_mean_db, self.gain_db), -20, 6) / 20)
        if mix:
            x += _MIX_GAIN * draw(rng).audio
        if silence:
            cut = rng.integers(x.shape[1])
            x[:, slice(0, cut) if rng.random() < 0.5 else slice(cut, None)] = 0
        if quiet:
            x *= 10 ** (rng.uniform(*_QUIET_DB) / 20)
        return item._replace(audio=x / max(1.0, float(np.abs(x).max())))


class Items:
    """Item i: a segment of a recording, augmented.

    Args:
        draw: Which recording.
        augment: What is done to it.
        rate: Of the items, in Hz.
        channels: Of the items; mono files fill all, others are mixed down for 1.
        samples: Length of an item; shorter recordings are filled up with silence.
        seed: Of all draws.
    """

    def __init__(
        self, draw: Draw, augment: Augment, *, rate: int, channels: int, samples: int, seed: int
    ) -> None:
        self._draw_clip, self._augment, self._seed = draw, augment, seed
        self._rate, self._channels, self._samples = rate, channels, samples
        self._named: set[Path] = set()
        self._checked: dict[Path, NcodecError | None] = {}

    def __getitem__(self, index: int) -> Item:
        """Return item `index`.

        Raises:
            ArgumentError: Time and again the files that were drawn could not be used.
        """
        for attempt in range(_ATTEMPTS):
            # a seed's zeros at the end count for nothing: the first attempt's is [seed, index]
            rng = np.random.default_rng([self._seed, index, attempt])
            try:
                return self._augment.apply(rng, self._segment, self._tones)
            except _UnusableError as error:
                if error.path not in self._named:
                    log.warning("%s: skipped: %s", error.path, error.reason)
                    self._named.add(error.path)
        raise ArgumentError(f"{_ATTEMPTS} files in a row could not be read; see the warnings")

    def _tones(self, rng: np.random.Generator) -> Samples:
        channels = [draw_tones(rng, self._samples, self._rate) for _ in range(self._channels)]
        return np.stack(channels)

    def _segment(self, rng: np.random.Generator) -> Item:
        clip = self._draw_clip(rng)
        rate = clip.rate * self._augment.draw_speed(rng)
        needed = int(np.ceil(self._samples * rate / self._rate)) + 1
        start = int(rng.integers(max(1, clip.samples - needed + 1)))
        try:
            x = self._read(clip, start, needed)
        except (NcodecError, OSError) as error:
            raise _UnusableError(clip.path, error) from error
        x = mix_channels(resample(x, rate, self._rate), self._channels)[:, : self._samples]
        x = np.pad(x, ((0, 0), (0, self._samples - x.shape[1])))
        return Item(x, clip, start / clip.rate)

    def _read(self, clip: Clip, start: int, count: int) -> Samples:
        """Read a part; a file of floats once to its end: with a NaN in it, it is left out."""
        fault = self._checked.get(clip.path)
        if fault is not None:
            raise fault
        x, floats = read_samples(clip, start, count)
        if floats and clip.path not in self._checked:
            self._checked[clip.path] = None
            try:
                check_whole(clip.path)
            except NcodecError as error:
                self._checked[clip.path] = error
                raise
        return x


class _UnusableError(Exception):
    """A file that cannot be heard, and why."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(path, error)
        self.path, self.reason = path, in_words(error).removeprefix(f"{path}: ")


def _by_kind(
    clips: Sequence[Clip], kinds: Mapping[str, float]
) -> list[tuple[Sequence[Clip], float]]:
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
