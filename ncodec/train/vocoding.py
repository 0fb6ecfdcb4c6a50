"""What a vocoder learns from: segments with their mels, and the distance of its own mels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from ncodec.audio import mix_channels
from ncodec.config import HifiGanConfig
from ncodec.datasets import Clip, Draw
from ncodec.datasets.reading import read_samples
from ncodec.errors import ArgumentError, BadFileError, NcodecError, in_words
from ncodec.losses.spectral import Signal, Spectra
from ncodec.vocoder import LogMel, Vocoder
from ncodec.vocoder.files import open_mels

_MORE_FRAMES = 4
"""By which mels and their recording may differ: front ends end a frame or two apart."""


class LogMelLoss(nn.Module):
    """L1 between log mels as a vocoder's front end makes them, but up to half the sample rate.

    HiFi-GAN's (Kong et al., 2020), whose mels may end lower than what it is to sound like.
    """

    def __init__(self, config: HifiGanConfig) -> None:
        super().__init__()
        self.front_end = LogMel(replace(config, fmax=None))

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar, in the front end's logarithm."""
        a, b = (s.signal if isinstance(s, Spectra) else s for s in (fake, real))
        return functional.l1_loss(self.front_end(a.float()), self.front_end(b.float()))


@dataclass
class _Kind:
    """What is asked of a vocoder for its mels; unlike the net that learns, it can be pickled."""

    name: str
    bands: int
    hop: int


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Item i: audio `[1, T]` and its mels `[bands, F]` from a file, always the same.

    Mels are those that the vocoder will be given, such as a synthesiser's for the words of the
    recording, frame by frame in time with it; they lie beside it (`talk.npy` for `talk.wav`) or
    where a manifest's column `mel` says.

    Args:
        clips: Recordings at the vocoder's rate.
        model: Whose mels they are.
        frames: Of an item; shorter recordings are filled up with silence.
        seed: Of all draws.

    Raises:
        ArgumentError: A recording has another rate, or no mels.
    """

    def __init__(self, clips: Sequence[Clip], model: Vocoder, *, frames: int, seed: int) -> None:
        self._draw = Draw(clips, {})
        self._kind = _Kind(model.name, model.bands, model.hop)
        self._silence = float(model.mel(torch.zeros(1, 1, 4 * model.config.n_fft)).min())
        self._frames, self._seed = frames, seed
        for clip in clips:
            if clip.rate != model.sample_rate:
                raise ArgumentError(
                    f"{clip.path}: {clip.rate} Hz: recordings with mels must have the "
                    f"vocoder's {model.sample_rate} Hz"
                )
            if not mel_path(clip).is_file():
                raise ArgumentError(f"{clip.path}: has no mels {mel_path(clip)} (data.pairs)")

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return item `index`.

        Raises:
            NcodecError: A file cannot be read, or mels and recording do not fit.
        """
        rng = np.random.default_rng([self._seed, index])
        clip, hop = self._draw(rng), self._kind.hop
        mels = self._mels(clip)
        there = min(mels.shape[1], -(-clip.samples // hop))
        first = int(rng.integers(max(1, there - self._frames + 1)))
        mel = torch.from_numpy(np.array(mels[:, first : first + self._frames], np.float32))
        audio, _ = read_samples(clip, first * hop, self._frames * hop)
        audio = torch.from_numpy(mix_channels(audio, 1).astype(np.float32))
        return (
            functional.pad(audio, (0, self._frames * hop - audio.shape[1])),
            functional.pad(mel, (0, self._frames - mel.shape[1]), value=self._silence),
        )

    def _mels(self, clip: Clip) -> NDArray[np.floating]:
        path = mel_path(clip)
        try:
            with closing(path.open("rb")) as file:
                mels = open_mels(file, path.suffix, self._kind)
        except (NcodecError, OSError) as error:
            raise ArgumentError(f"{path}: {in_words(error)}") from error
        frames = clip.samples // self._kind.hop
        if abs(mels.shape[1] - frames) > _MORE_FRAMES:
            raise BadFileError(
                f"{path}: {mels.shape[1]} frames, where {clip.path.name} has {frames}: they must "
                "be of the same recording"
            )
        return mels


def mel_path(clip: Clip) -> Path:
    """Return where the mels of a recording lie."""
    named = clip.labels.get("mel")
    return clip.path.parent / named if named else clip.path.with_suffix(".npy")
