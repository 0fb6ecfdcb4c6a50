"""Losses between a decoded signal and the original, both `[B, C, T]`.

Every loss is a module called as `loss(fake, real)` that returns a scalar. Either may be given
as `Spectra`, which keeps each STFT, so that several losses share one.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncodec.dsp.mel import MelScale, mel_filters
from ncodec.dsp.stft import Spectra
from ncodec.errors import ArgumentError

_POWER_FLOOR = 1e-12
"""Of signals' powers in ratios: -120 dB."""


@lru_cache(maxsize=64)
def _mel_matrix(
    device: torch.device,
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    *,
    fmax: float | None,
    scale: MelScale,
) -> Tensor:
    filters = mel_filters(sample_rate, n_fft, n_mels, fmax=fmax, scale=scale, equal_area=False)
    with torch.inference_mode(False):  # else it could never serve a backward pass
        weights = torch.from_numpy(np.ascontiguousarray(filters.T, np.float32)).to(device)
        return weights / weights.sum(dim=0)


Signal: TypeAlias = Tensor | Spectra


def _pair(fake: Signal, real: Signal) -> tuple[Spectra, Spectra]:
    a = fake if isinstance(fake, Spectra) else Spectra(fake)
    b = real if isinstance(real, Spectra) else Spectra(real)
    if a.signal.shape != b.signal.shape:
        raise ArgumentError(
            f"fake {tuple(a.signal.shape)} and real {tuple(b.signal.shape)}: must have one shape"
        )
    return a, b


def _check_sizes(n_ffts: Sequence[int]) -> tuple[int, ...]:
    if not n_ffts or any(n < 4 or n % 4 for n in n_ffts):
        raise ArgumentError(f"n_ffts {tuple(n_ffts)}: must be one or more positive multiples of 4")
    return tuple(n_ffts)


class L1Loss(nn.Module):
    """Mean absolute difference of the samples."""

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar."""
        a, b = _pair(fake, real)
        return F.l1_loss(a.signal, b.signal)


class MultiScaleMelLoss(nn.Module):
    """Mean absolute difference of log mel magnitudes, averaged over window lengths.

    The lengths and the number of bands of each, `5 n_fft / 32`, are DAC's (Kumar et al., 2023). The
    logarithm is natural; `floor` is added to magnitudes, so that silence has a gradient too.
    """

    def __init__(
        self,
        sample_rate: int,
        n_ffts: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048),
        *,
        n_mels: Sequence[int] | None = None,
        fmax: float | None = None,
        scale: MelScale = "slaney",
        floor: float = 1e-5,
    ):
        """`sample_rate` and `fmax` in Hz; `n_mels`: one number of bands for each of `n_ffts`."""
        super().__init__()
        self.sample_rate = sample_rate
        self.n_ffts = _check_sizes(n_ffts)
        self.n_mels = tuple(n * 5 // 32 for n in self.n_ffts) if n_mels is None else tuple(n_mels)
        if len(self.n_mels) != len(self.n_ffts):
            raise ArgumentError(f"n_mels {self.n_mels}: must be one for each of {self.n_ffts}")
        self.fmax = fmax
        self.scale: MelScale = scale
        self.floor = floor
        for size in zip(self.n_ffts, self.n_mels, strict=True):
            mel_filters(sample_rate, *size, fmax=fmax, scale=scale, equal_area=False)

    def log_mel(self, signal: Spectra, n_fft: int, n_mels: int) -> Tensor:
        """`[B * C, frames, n_mels]`; each band is the weighted mean of its magnitudes."""
        magnitude = signal.magnitude(n_fft)
        device = magnitude.device
        weights = _mel_matrix(
            device, self.sample_rate, n_fft, n_mels, fmax=self.fmax, scale=self.scale
        )
        with torch.autocast(device.type, enabled=False):
            return (magnitude @ weights + self.floor).log()

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar, in nepers (0.115 a dB)."""
        a, b = _pair(fake, real)
        losses = [
            F.l1_loss(self.log_mel(a, *size), self.log_mel(b, *size))
            for size in zip(self.n_ffts, self.n_mels, strict=True)
        ]
        return torch.stack(losses).mean()


class MultiResolutionSTFTLoss(nn.Module):
    """Spectral convergence plus L1 of log magnitudes, averaged over window lengths.

    After Parallel WaveGAN (Yamamoto et al., 2020), with its FFT lengths.
    """

    def __init__(self, n_ffts: Sequence[int] = (512, 1024, 2048), *, floor: float = 1e-5):
        super().__init__()
        self.n_ffts = _check_sizes(n_ffts)
        self.floor = floor

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar."""
        a, b = _pair(fake, real)
        losses: list[Tensor] = []
        for n_fft in self.n_ffts:
            x, y = a.magnitude(n_fft), b.magnitude(n_fft)
            convergence = torch.linalg.vector_norm(x - y) / torch.linalg.vector_norm(y)
            log = F.l1_loss((x + self.floor).log(), (y + self.floor).log())
            losses.append(convergence + log)
        return torch.stack(losses).mean()


class LogDistanceLoss(nn.Module):
    """Logarithm of the L1 distance of magnitudes, averaged over window lengths.

    Of Musika's autoencoders (Pasini and Schlueter, 2022): the better it is, the more it asks for.
    """

    def __init__(self, n_ffts: Sequence[int] = (256, 512, 1024, 2048), *, floor: float = 1e-6):
        super().__init__()
        self.n_ffts = _check_sizes(n_ffts)
        self.floor = floor

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar, about 2.3 less for a distance 20 dB smaller."""
        a, b = _pair(fake, real)
        distances = [F.l1_loss(a.magnitude(n), b.magnitude(n)) for n in self.n_ffts]
        return (torch.stack(distances) + self.floor).log().mean()


class CompressedSTFTLoss(nn.Module):
    """L1 between power-compressed complex spectra, `X |X|^(exponent - 1)`, over window lengths.

    It hears phase, and compression keeps quiet partials from vanishing beside loud ones. The mean
    is over real and imaginary parts. Exponent 0.3 after Ephrat et al., 2018.
    """

    def __init__(
        self,
        n_ffts: Sequence[int] = (512, 1024, 2048),
        *,
        exponent: float = 0.3,
        max_frequency: float | None = None,
        sample_rate: int | None = None,
        floor: float = 1e-8,
    ):
        """Set it up.

        Args:
            n_ffts: window lengths in samples.
            exponent: of the magnitude, in (0, 1].
            max_frequency: look only at bins up to here, in Hz; needs `sample_rate`, in Hz.
            sample_rate: only for `max_frequency`.
            floor: added to powers, which bounds the gradient of quiet bins (1e-8: -80 dB).

        Raises:
            ArgumentError: for a value out of its range.
        """
        super().__init__()
        self.n_ffts = _check_sizes(n_ffts)
        if not 0 < exponent <= 1:
            raise ArgumentError(f"exponent {exponent}: must be in (0, 1]")
        if max_frequency is not None and (sample_rate is None or max_frequency <= 0):
            raise ArgumentError(
                f"max_frequency {max_frequency}, sample_rate {sample_rate}: the first must be "
                "positive and needs the second"
            )
        self.exponent = exponent
        self.floor = floor
        self._fraction = (
            1.0 if max_frequency is None or sample_rate is None else max_frequency / sample_rate
        )

    def _compressed(self, signal: Spectra, n_fft: int) -> Tensor:
        bins = int(self._fraction * n_fft) + 1
        gain = (signal.power(n_fft)[..., :bins] + self.floor) ** ((self.exponent - 1) / 2)
        return torch.view_as_real(signal.stft(n_fft)[..., :bins]) * gain.unsqueeze(-1)

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar."""
        a, b = _pair(fake, real)
        losses = [F.l1_loss(self._compressed(a, n), self._compressed(b, n)) for n in self.n_ffts]
        return torch.stack(losses).mean()


class SISNRLoss(nn.Module):
    """Negative scale-invariant signal-to-noise ratio in dB, mean over batch and channels.

    Le Roux et al., 2019: both signals without their mean, the target scaled to fit the estimate.
    """

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar; 10 dB better is 10 less."""
        a, b = _pair(fake, real)
        x = a.signal.float() - a.signal.float().mean(dim=-1, keepdim=True)
        y = b.signal.float() - b.signal.float().mean(dim=-1, keepdim=True)
        scale = (x * y).sum(-1, keepdim=True) / (y.square().sum(-1, keepdim=True) + _POWER_FLOOR)
        target = scale * y
        signal, noise = target.square().sum(-1), (x - target).square().sum(-1)
        return -10 * ((signal + _POWER_FLOOR) / (noise + _POWER_FLOOR)).log10().mean()
