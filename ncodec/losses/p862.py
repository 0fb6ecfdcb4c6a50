"""A differentiable loss after PESQ (ITU-T P.862 and P.862.2), the measure that it lowers.

P.862 compares loudness in Bark bands, frame by frame, after it has aligned the levels of both
signals; its two disturbances make a score of listening quality. Here the same chain is written
in torch for signals that are aligned in time already, filters are frequency responses, and nothing
is left out that moves the score of decoded speech by more than 0.1 (`tests/losses/test_p862.py`
compares with the `pesq` package).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ncodec.losses.spectral import Signal, Spectra

_RATE = 16000  # Hz; P.862.2
_FRAME, _HOP = 512, 256  # 32 ms with half of it shared, P.862 section 10.2.1
_TARGET_POWER = 1e7  # of the speech band after alignment, P.862 section 10.1.2
_SPEECH_BAND = (325.0, 3250.0)  # Hz: where levels are measured in wideband mode
_POWER_SCALE, _LOUDNESS_SCALE = 6.910853e-6, 0.1866055  # calibration for 16 kHz
_ZWICKER = 0.23
_DEAD_ZONE = 0.25
_STRETCH = 20  # frames, 320 ms
_LIMIT = 45.0  # of a frame's disturbance
_LEVEL_FLOOR = 1e-5  # mean square, -50 dB full scale: quieter items do not count

# Tables of P.862's reference implementation for 16 kHz: FFT bins, centre and width in Bark,
# hearing threshold (power) and correction of the power density of its 49 bands.
_BINS = (
    *(1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4),
    *(3, 4, 5, 4, 5, 6, 6, 7, 8, 9, 9, 12, 12, 15, 16, 18, 21, 25, 20),
)
_CENTRE = (
    *(0.078672, 0.316341, 0.636559, 0.961246, 1.290450, 1.624217, 1.962597, 2.305636, 2.653383),
    *(3.005889, 3.363201, 3.725371, 4.092449, 4.464486, 4.841533, 5.223642, 5.610866, 6.003256),
    *(6.400869, 6.803755, 7.211971, 7.625571, 8.044611, 8.469146, 8.899232, 9.334927, 9.776288),
    *(10.223374, 10.676242, 11.134952, 11.599563, 12.070135, 12.546731, 13.029408, 13.518232),
    *(14.013264, 14.514566, 15.022202, 15.536238, 16.056736, 16.583761, 17.117382, 17.657663),
    *(18.204674, 18.758478, 19.319147, 19.886751, 20.461355, 21.043034),
)
_WIDTH = (
    *(0.157344, 0.317994, 0.322441, 0.326934, 0.331474, 0.336061, 0.340697, 0.345381, 0.350114),
    *(0.354897, 0.359729, 0.364611, 0.369544, 0.374529, 0.379565, 0.384653, 0.389794, 0.394989),
    *(0.400236, 0.405538, 0.410894, 0.416306, 0.421773, 0.427297, 0.432877, 0.438514, 0.444209),
    *(0.449962, 0.455774, 0.461645, 0.467577, 0.473569, 0.479621, 0.485736, 0.491912, 0.498151),
    *(0.504454, 0.510819, 0.517250, 0.523745, 0.530308, 0.536934, 0.543629, 0.550390, 0.557220),
    *(0.564119, 0.571085, 0.578125, 0.585232),
)
_THRESHOLD = (
    *(51286152.0, 2454709.5, 70794.59375, 4897.788574, 1174.897705, 389.045166, 104.712860),
    *(45.708820, 17.782795, 9.772372, 4.897789, 3.090296, 1.905461, 1.258925, 0.977237, 0.724436),
    *(0.562341, 0.457088, 0.389045, 0.331131, 0.295121, 0.269153, 0.257040, 0.251189, 0.251189),
    *(0.251189, 0.251189, 0.263027, 0.288403, 0.309030, 0.338844, 0.371535, 0.398107, 0.436516),
    *(0.467735, 0.489779, 0.501187, 0.501187, 0.512861, 0.524807, 0.524807, 0.524807, 0.512861),
    *(0.478630, 0.426580, 0.371535, 0.363078, 0.416869, 0.537032),
)
_CORRECTION = (
    *(100, 100, 100, 100, 100, 100, 100, 100, 50, 100, 100, 100, 100, 100, 53.047077, 110.000046),
    *(117.991989, 65, 68.760147, 69.999931, 71.428818, 75.000038, 76.843384, 80.968781, 88.646126),
    *(63.864388, 68.155350, 72.547775, 75.584831, 58.379192, 80.950836, 64.135651, 54.384785),
    *(73.821884, 64.437073, 59.176456, 65.521278, 61.399822, 58.144047, 57.004543, 64.126297),
    *(54.311001, 61.114979, 55.077751, 56.849335, 55.628868, 53.137054, 54.985844, 79.546974),
)
# The input filter of wideband mode, a high pass of second order (P.862.2): b and a at 16 kHz.
_INPUT_FILTER = ((2.740826, -5.4816519, 2.740826), (1.0, -1.9444777, 0.94597794))


class PesqLoss(nn.Module):
    """4.5 less PESQ's raw score, a mean over the items that are not almost silent.

    Items should be speech of a second and more: levels are aligned over all of it.
    """

    bands: Tensor
    width: Tensor
    threshold: Tensor
    exponent: Tensor

    def __init__(self, sample_rate: int) -> None:
        """`sample_rate` in Hz, 16000 or more."""
        super().__init__()
        self._rate = sample_rate
        edges = torch.tensor((0, *_BINS)).cumsum(0)
        bands = torch.zeros(_FRAME // 2 + 1, len(_BINS))
        for i, correction in enumerate(_CORRECTION):
            bands[edges[i] : edges[i + 1], i] = correction * _POWER_SCALE
        bands[0] = 0  # the constant part does not count
        self.register_buffer("bands", bands, persistent=False)
        self.register_buffer("width", torch.tensor(_WIDTH)[1:], persistent=False)
        self.register_buffer("threshold", torch.tensor(_THRESHOLD), persistent=False)
        low = (6 / (torch.tensor(_CENTRE) + 2)).clamp(1, 2) ** 0.15  # steeper below 4 Bark
        self.register_buffer("exponent", _ZWICKER * low, persistent=False)

    def forward(self, fake: Signal, real: Signal) -> Tensor:
        """A scalar in 0..4.5."""
        a, b = (s.signal if isinstance(s, Spectra) else s for s in (fake, real))
        a, b = (x.float().flatten(0, 1) for x in (a, b))
        counts = (b.square().mean(-1) > _LEVEL_FLOOR).float()
        # The part that P.862 cannot score is left out before, so that no gradient comes of it.
        return (self.distance(a, b) * counts).sum() / counts.sum().clamp(min=1)

    def distance(self, fake: Tensor, real: Tensor) -> Tensor:
        """4.5 less the raw score of each item: `[N, T]` twice to `[N]`."""
        degraded, original = (self._bark(x) for x in (fake, real))
        degraded, original = self._equalised(degraded, original)
        heard, wanted = self._loudness(degraded), self._loudness(original)
        difference = heard - wanted
        difference = difference.sign() * (
            difference.abs() - _DEAD_ZONE * torch.minimum(heard, wanted)
        ).clamp(min=0)
        added = ((degraded + 50) / (original + 50)) ** 1.2
        added = torch.where(added < 3, torch.zeros_like(added), added.clamp(max=12))
        total = self.width.sum()
        weighted = self.width * difference[..., 1:]
        both = (total * (weighted.square().sum(-1) + 1e-12)).sqrt()
        more = (weighted.abs() * added[..., 1:]).sum(-1)
        loud = ((_audible(original, self.threshold) + 1e5) / 1e7) ** 0.04
        return 0.1 * _pooled(both / loud) + 0.0309 * _pooled(more / loud)

    def _bark(self, x: Tensor) -> Tensor:
        """Power densities in Bark bands of the aligned, filtered signal: `[N, frames, 49]`."""
        length = x.shape[-1]
        spectrum = torch.fft.rfft(x)
        frequency = torch.arange(spectrum.shape[-1], device=x.device) * (self._rate / length)
        inside = (frequency >= _SPEECH_BAND[0]) & (frequency <= _SPEECH_BAND[1])
        power = 2 * (spectrum.abs().square() * inside).sum(-1, keepdim=True) / length**2
        samples = round(length * _RATE / self._rate)
        kept = spectrum[:, : samples // 2 + 1] * _input_response(frequency[: samples // 2 + 1])
        gain = (_TARGET_POWER / (power + 1e-9)).sqrt() * (samples / length)
        y = torch.fft.irfft(kept * gain, samples)
        frames = y.unfold(-1, _FRAME, _HOP) * torch.hann_window(_FRAME, device=x.device)
        return torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1) @ self.bands

    def _equalised(self, degraded: Tensor, original: Tensor) -> tuple[Tensor, Tensor]:
        """The filter of the whole (on the original) and the level of each frame taken out."""
        speech = (_audible(original, 100 * self.threshold) > 1e7)[..., None]
        means = [
            torch.where(speech & (x > 100 * self.threshold), x, torch.zeros_like(x)).mean(1)
            for x in (degraded, original)
        ]
        filtered = ((means[0] + 1000) / (means[1] + 1000)).clamp(0.01, 100)
        original = original * filtered[:, None]
        ratio = (_audible(original, self.threshold) + 5e3) / (
            _audible(degraded, self.threshold) + 5e3
        )
        before = torch.cat([ratio[:, :1], ratio[:, :-1]], 1)
        gain = (0.8 * ratio + 0.2 * before).clamp(3e-4, 5)
        return degraded * gain[..., None], original

    def _loudness(self, bark: Tensor) -> Tensor:
        t, e = self.threshold, self.exponent
        sone = (2 * t) ** e * ((0.5 + 0.5 * bark / t) ** e - 1)
        return _LOUDNESS_SCALE * torch.where(bark > t, sone, torch.zeros_like(sone))


def _audible(bark: Tensor, threshold: Tensor) -> Tensor:
    """Power above the threshold, summed over the bands: `[N, frames]`."""
    return torch.where(bark > threshold, bark, torch.zeros_like(bark))[..., 1:].sum(-1)


def _pooled(disturbance: Tensor) -> Tensor:
    """L6 over stretches of 20 frames, then L2: `[N, frames]` to `[N]`."""
    size = min(_STRETCH, disturbance.shape[-1])
    parts = disturbance.clamp(max=_LIMIT).unfold(-1, size, max(1, size // 2))
    stretches = (parts**6).mean(-1) + 1e-12
    return (stretches ** (1 / 3)).mean(-1).sqrt()


def _input_response(frequency: Tensor) -> Tensor:
    z = torch.polar(torch.ones_like(frequency), -2 * math.pi / _RATE * frequency)
    above, below = (b[0] + b[1] * z + b[2] * z * z for b in _INPUT_FILTER)
    return above / below
