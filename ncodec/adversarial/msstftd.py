"""Multi-scale STFT discriminator: EnCodec (Défossez et al., 2022)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from ncodec.adversarial.base import Discriminator, DiscriminatorBank
from ncodec.errors import ArgumentError


class STFTDiscriminator(Discriminator):
    """Convolutions over time and frequency of a complex STFT, hop `n_fft // 4`, no padding."""

    def __init__(self, n_fft: int, *, channels: int = 1, filters: int = 32, slope: float = 0.2):
        """`channels`: of the signal; `filters`: of every layer."""
        if n_fft < 4 or n_fft % 4:
            raise ArgumentError(f"n_fft {n_fft}: must be a positive multiple of 4")
        layers = [weight_norm(nn.Conv2d(2 * channels, filters, (3, 9), padding=(1, 4)))]
        layers += [
            weight_norm(
                nn.Conv2d(filters, filters, (3, 9), (1, 2), (dilation, 4), dilation=(dilation, 1))
            )
            for dilation in (1, 2, 4)
        ]
        layers.append(weight_norm(nn.Conv2d(filters, filters, (3, 3), padding=1)))
        super().__init__(layers, weight_norm(nn.Conv2d(filters, 1, (3, 3), padding=1)), slope)
        self.n_fft = n_fft
        window = torch.hann_window(n_fft)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        self.window: Tensor

    def prepare(self, x: Tensor) -> Tensor:
        """`[B, C, T]` to `[B, 2 C, frames, n_fft // 2 + 1]`: real parts, then imaginary parts."""
        length = x.shape[-1]
        if length < self.n_fft:
            raise ArgumentError(f"a signal of {length} samples: n_fft {self.n_fft} needs as many")
        frames = x.unfold(-1, self.n_fft, self.n_fft // 4)
        spectrum = torch.fft.rfft(frames * self.window)
        return torch.cat([spectrum.real, spectrum.imag], dim=1)


class MultiScaleSTFTDiscriminator(DiscriminatorBank):
    """One `STFTDiscriminator` a window length, EnCodec's three by default: 0.28 M parameters."""

    def __init__(
        self,
        n_ffts: Sequence[int] = (1024, 2048, 512),
        *,
        channels: int = 1,
        filters: int = 32,
        slope: float = 0.2,
    ):
        """`channels`: of the signal; `filters`: of every layer."""
        super().__init__(
            STFTDiscriminator(n_fft, channels=channels, filters=filters, slope=slope)
            for n_fft in n_ffts
        )
