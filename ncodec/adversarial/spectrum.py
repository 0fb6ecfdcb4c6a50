"""Discriminator of spectra in decibels, as for Musika's autoencoders (arXiv:2208.08706)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ncodec.adversarial.base import Discriminator, DiscriminatorBank
from ncodec.errors import ArgumentError

_LEAST = 1e-10
"""Power before the logarithm."""
_MEAN, _SPREAD = -50.0, 75.0
"""Decibels that are 0, and that are 1 more; full scale is 0.67."""


class SpectrumDiscriminator(Discriminator):
    """Convolutions over time and frequency of magnitudes in dB, spectrally normed.

    Frames are `n_fft // 4` apart, without padding; each layer halves times and frequencies. The
    paper names what it hears, convolutions in two dimensions and the norm; sizes are ours.
    """

    def __init__(
        self,
        n_fft: int = 1024,
        *,
        channels: int = 1,
        filters: int = 32,
        depth: int = 4,
        slope: float = 0.2,
    ):
        """`filters`: of the first layer, twice as many in each of the `depth` that follow."""
        if n_fft < 4 or n_fft % 4:
            raise ArgumentError(f"n_fft {n_fft}: must be a positive multiple of 4")
        widths = [channels, *(filters << i for i in range(depth))]
        layers = [
            spectral_norm(nn.Conv2d(widths[i], widths[i + 1], 4, stride=2, padding=2))
            for i in range(depth)
        ]
        super().__init__(layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)), slope)
        self.n_fft = n_fft
        window = torch.hann_window(n_fft)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        self.window: Tensor

    def prepare(self, x: Tensor) -> Tensor:
        """`[B, C, T]` to `[B, C, frames, n_fft // 2 + 1]`, about -1 to 1.

        Raises:
            ArgumentError: The signal is shorter than a frame.
        """
        length = x.shape[-1]
        if length < self.n_fft:
            raise ArgumentError(f"a signal of {length} samples: n_fft {self.n_fft} needs as many")
        frames = x.unfold(-1, self.n_fft, self.n_fft // 4)
        parts = torch.view_as_real(torch.fft.rfft(frames * self.window))
        decibels = 10 * parts.square().sum(-1).clamp(min=_LEAST).log10()
        return (decibels - _MEAN) / _SPREAD


class MultiSpectrumDiscriminator(DiscriminatorBank):
    """One `SpectrumDiscriminator` a window length, one by default."""

    def __init__(
        self,
        n_ffts: Sequence[int] = (1024,),
        *,
        channels: int = 1,
        filters: int = 32,
        depth: int = 4,
    ):
        """See `SpectrumDiscriminator`."""
        super().__init__(
            SpectrumDiscriminator(n_fft, channels=channels, filters=filters, depth=depth)
            for n_fft in n_ffts
        )
