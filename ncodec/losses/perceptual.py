"""Losses that hear as the measures of quality do, and one for phase where hearing follows it.

All take the decoded and the original signal, `[B, C, T]` or their `Spectra`, and return a scalar.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncodec.dsp.erb import erb_bands
from ncodec.losses.spectral import Signal, Spectra

_ONE_DB = 0.1  # in powers of ten
_HEARD_DB = 65.0  # below the loudest place of a spectrogram
_NSIM_LEVEL, _NSIM_SHAPE = (0.01 * 45) ** 2, (0.03 * 45) ** 2 / 2  # of a range of 45 dB
_LEVEL_FLOOR = 1e-6  # -60 dB full scale: quieter items count as this loud


def _spectra(signal: Signal) -> Spectra:
    return signal if isinstance(signal, Spectra) else Spectra(signal)


def _level(real: Spectra) -> Tensor:
    """Mean square of each item, `[B * C, 1, 1]`."""
    return (
        real.signal.float().flatten(0, 1).square().mean(-1).clamp(min=_LEVEL_FLOOR)[:, None, None]
    )


class _ErbLoss(nn.Module):
    """Energies in ERB bands of long windows."""

    weights: Tensor

    def __init__(self, sample_rate: int, n_fft: int = 2048, bands: int = 24) -> None:
        """`sample_rate` in Hz; `n_fft` in samples: 85 ms at 24 kHz."""
        super().__init__()
        self._n_fft = n_fft
        weights = erb_bands(n_fft // 2 + 1, bands, sample_rate)
        weights = (weights / weights.sum(1, keepdim=True)).T
        self.register_buffer("weights", weights, persistent=False)

    def energies(self, signal: Spectra) -> Tensor:
        """`[B * C, frames, bands]`."""
        return signal.power(self._n_fft) @ self.weights


class BandLoss(_ErbLoss):
    """L1 between log energies of ERB bands in long windows, near what ViSQOL compares."""

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar, in powers of ten."""
        a, b = (self.energies(_spectra(x)) for x in (fake, real))
        return F.l1_loss(torch.log10(a + 1e-8), torch.log10(b + 1e-8))


class SimilarityLoss(_ErbLoss):
    """One minus the structural similarity of spectrograms in ERB bands: what ViSQOL compares.

    NSIM of Hines and Harte (2012) over 3 x 3 places, weighed by a Gaussian of deviation 0.5: how
    alike levels in dB are, times how alike they rise and fall. Its constants are for 45 dB, as in
    ViSQOL; what lies 65 dB below the loudest place does not count.
    """

    kernel: Tensor

    def __init__(self, sample_rate: int, n_fft: int = 2048, bands: int = 32) -> None:
        """`sample_rate` in Hz; `n_fft` in samples: 85 ms at 24 kHz, near ViSQOL's 80."""
        super().__init__(sample_rate, n_fft, bands)
        side = torch.exp(-2 * torch.tensor([1.0, 0.0, 1.0]))
        kernel = side[:, None] * side
        self.register_buffer("kernel", (kernel / kernel.sum())[None, None], persistent=False)

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar in 0..2."""
        a, b = (10 * torch.log10(self.energies(_spectra(x)) + 1e-9) for x in (fake, real))
        lowest = torch.maximum(a, b).detach().amax((1, 2), keepdim=True) - _HEARD_DB
        a, b = ((x - lowest).clamp(min=0)[:, None] for x in (a, b))
        mean_a, mean_b = self._mean(a), self._mean(b)
        var_a = (self._mean(a * a) - mean_a**2).clamp(min=0)
        var_b = (self._mean(b * b) - mean_b**2).clamp(min=0)
        both = self._mean(a * b) - mean_a * mean_b
        level = (2 * mean_a * mean_b + _NSIM_LEVEL) / (mean_a**2 + mean_b**2 + _NSIM_LEVEL)
        shape = (both + _NSIM_SHAPE) / ((var_a * var_b + 1e-9).sqrt() + _NSIM_SHAPE)
        return 1 - (level * shape).mean()

    def _mean(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.kernel)


class LevelLoss(_ErbLoss):
    """Distance between log energies of whole segments, in ERB bands and (twice as heavy) in all.

    Losses on the logarithm of each short frame favour its median, which is quieter than the mean:
    without this a codec with few codes ends 1 to 3 dB too quiet. Below 1 dB the distance is
    quadratic: plain L1 turns the sign of every item's small error into a gradient that all weights
    share, and drowns those of the other losses.
    """

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar, in powers of ten."""
        signals = _spectra(fake), _spectra(real)
        bands = [self.energies(s).mean(1) + 1e-7 for s in signals]
        whole = [s.signal.float().square().mean(-1) + 1e-7 for s in signals]
        return _log_distance(*bands) + 2 * _log_distance(*whole)


def _log_distance(a: Tensor, b: Tensor) -> Tensor:
    return F.smooth_l1_loss(a.log10(), b.log10(), beta=_ONE_DB)


class SpectrumLoss(nn.Module):
    """L1 between the mean power spectra of whole segments, relative to the original's power.

    Powers, not their logarithms: the strongest partials count most, and those that come out of
    frames whose phases disagree are too quiet.
    """

    def __init__(self, sample_rate: int, n_fft: int = 2048) -> None:
        """`n_fft` in samples; `sample_rate` only so that all losses are made alike."""
        super().__init__()
        self._n_fft = n_fft

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar: 1 where all is missing."""
        a, b = (_spectra(x).power(self._n_fft).mean(1) for x in (fake, real))
        floor = _LEVEL_FLOOR * b.shape[-1]
        return ((a - b).abs().sum(-1) / (b.sum(-1) + floor)).mean()


class LoudnessLoss(nn.Module):
    """Differences of loudness in Bark bands, near PESQ's disturbance (ITU-T P.862).

    Loudness is power to 0.23; differences below a quarter of the quieter signal's loudness are not
    heard; energy that was added counts again, up to twelvefold.
    """

    weights: Tensor

    def __init__(self, sample_rate: int, n_fft: int = 768, bands: int = 49) -> None:
        """`sample_rate` in Hz; `n_fft` in samples: 32 ms at 24 kHz."""
        super().__init__()
        self._n_fft = n_fft
        top = min(8000.0, sample_rate / 2)
        bark = 6 * torch.asinh(torch.linspace(0, sample_rate / 2, n_fft // 2 + 1) / 600)
        first, last = 6 * math.asinh(80 / 600), 6 * math.asinh(top / 600)
        width = (last - first) / bands
        centres = first + width * (torch.arange(bands)[:, None] + 0.5)
        weights = (1 - (bark - centres).abs() / width).clamp(min=0)
        weights = weights[weights.sum(1) > 0]
        weights = (weights / weights.sum(1, keepdim=True)).T.contiguous()
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar."""
        a, b = _spectra(fake), _spectra(real)
        level = _level(b)
        power, wanted = (x.power(self._n_fft) @ self.weights / level for x in (a, b))
        heard, target = (power + 1e-5) ** 0.23, (wanted + 1e-5) ** 0.23
        difference = (heard - target).abs() - 0.25 * torch.minimum(heard, target)
        difference = difference.relu()
        added = ((power.detach() + 1e-4) / (wanted + 1e-4)).pow(1.2).clamp(max=12)
        added = torch.where(added > 3, added, 0)
        frames = difference.square().mean(dim=(1, 2)) + 1e-8
        return frames.sqrt().mean() + 0.33 * (difference * added).mean()


class EnvelopeLoss(nn.Module):
    """One minus the correlation of third-octave envelopes over 384 ms: what STOI measures.

    After Taal et al. (2011): 15 bands from 150 Hz, envelopes scaled alike and clipped at -15 dB.
    """

    weights: Tensor

    def __init__(self, sample_rate: int, n_fft: int = 768) -> None:
        """`sample_rate` in Hz; `n_fft` in samples."""
        super().__init__()
        self._n_fft = n_fft
        self._frames = round(0.384 * sample_rate / (n_fft // 4))
        frequency = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1)[:, None]
        centres = 150 * 2 ** (torch.arange(15) / 3)
        inside = (frequency >= centres * 2 ** (-1 / 6)) & (frequency < centres * 2 ** (1 / 6))
        weights = inside.float() / inside.sum(0).clamp(min=1)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar in 0..2.

        Signals shorter than 384 ms are compared over all their frames.
        """
        a, b = _spectra(fake), _spectra(real)
        level = _level(b)
        x, y = (self._envelopes(s, level) for s in (b, a))
        y = y * x.norm(dim=-1, keepdim=True) / (y.norm(dim=-1, keepdim=True) + 1e-6)
        y = torch.minimum(y, x * (1 + 10 ** (15 / 20)))
        x, y = x - x.mean(-1, keepdim=True), y - y.mean(-1, keepdim=True)
        correlation = (x * y).sum(-1) / ((x.norm(dim=-1) + 1e-2) * (y.norm(dim=-1) + 1e-2))
        return 1 - correlation.mean()

    def _envelopes(self, signal: Spectra, level: Tensor) -> Tensor:
        """`[B * C, segments, bands, frames]`."""
        bands = (signal.power(self._n_fft) @ self.weights / level + 1e-6).sqrt()
        return bands.unfold(1, min(self._frames, bands.shape[1]), 8)


class PhaseLoss(nn.Module):
    """L1 between compressed complex spectra at low frequencies, where hearing follows phase.

    Spectra are compressed as `X |X|^-0.7` and measured against the item's mean; the weight falls
    from 1 at 3 kHz to 0 at 5.5 kHz. Each item can have a weight of its own: few codes cannot carry
    phase, and trying blurs.
    """

    weights: Tensor

    def __init__(self, sample_rate: int, n_fft: int = 1024) -> None:
        """`sample_rate` in Hz; `n_fft` in samples."""
        super().__init__()
        self._n_fft = n_fft
        frequency = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1)
        weights = ((5500 - frequency) / 2500).clamp(0, 1)
        self.register_buffer("weights", weights / weights.mean(), persistent=False)

    def forward(self, fake: Signal, real: Signal, items: Tensor | None = None) -> Tensor:
        """A scalar; `items` `[B]` weighs the items."""
        a, b = _spectra(fake), _spectra(real)
        x, y = (s.stft(self._n_fft) / (s.power(self._n_fft) + 1e-7) ** 0.35 for s in (a, b))
        usual = ((b.power(self._n_fft) + 1e-7) ** 0.15).mean(dim=(1, 2)) + 0.1
        difference = torch.view_as_real(x - y).abs().sum(-1)
        each = (difference * self.weights).mean(dim=(1, 2)) / usual
        each = each.view(*a.signal.shape[:2]).mean(1)
        return (each if items is None else each * items).mean()


class LinesLoss(nn.Module):
    """L1 between how far the fine spectrum stands out in lines.

    In neighbourhoods of long windows' bins, the logarithm of the mean power over the geometric
    mean: 0.58 for noise, more where lines stand out, whatever their frequencies and phases. A codec
    that repeats its phases frame after frame turns noise into lines at its frame rate, which
    no band's energy shows.
    """

    def __init__(
        self, sample_rate: int, n_fft: int = 8192, *, low: float = 400.0, high: float = 8000.0
    ) -> None:
        """`sample_rate`, `low` and `high` in Hz; `n_fft` in samples: 341 ms at 24 kHz."""
        super().__init__()
        self._n_fft = n_fft
        self._first, self._last = (round(f * n_fft / sample_rate) for f in (low, high))

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar, in nepers of power."""
        a, b = _spectra(fake), _spectra(real)
        floor = 1e-7 * _level(b)
        return F.l1_loss(self._crest(a, floor), self._crest(b, floor))

    def _crest(self, signal: Spectra, floor: Tensor) -> Tensor:
        """`[B * C, neighbourhoods]`, each of 96 bins (281 Hz at 24 kHz)."""
        power = signal.power(self._n_fft)[..., self._first : self._last] + floor
        mean = F.avg_pool1d(power, 96, 48)
        around = F.interpolate(mean.detach(), power.shape[-1])
        geometric = F.avg_pool1d((power + 0.02 * around).log(), 96, 48)
        return F.avg_pool1d((mean.log() - geometric).transpose(1, 2), 3, 2)
