"""Multi-scale discriminators: MelGAN's (Kumar et al., 2019) and HiFi-GAN's (Kong et al., 2020)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from ncodec.adversarial.base import Discriminator, DiscriminatorBank
from ncodec.errors import ArgumentError

_MIN_SAMPLES = 8
"""At the coarsest scale: MelGAN's first layer, of 15 taps, reflects 7 samples at each edge."""


@dataclass(frozen=True)
class ScaleLayer:
    """One layer of a `ScaleDiscriminator`; `width`: its channels over those of the first."""

    width: int
    kernel: int
    stride: int = 1
    groups: int = 1
    padding_mode: Literal["zeros", "reflect"] = "zeros"


def _melgan_layers(filters: int) -> list[ScaleLayer]:
    """Four layers of stride 4 with four channels a group (16 to 1024 channels)."""
    downsampling = [ScaleLayer(min(4 ** (i + 1), 64), 41, 4, filters * 4**i // 4) for i in range(4)]
    return [ScaleLayer(1, 15, padding_mode="reflect"), *downsampling, ScaleLayer(64, 5)]


_HIFIGAN_LAYERS = [
    ScaleLayer(1, 15),
    ScaleLayer(1, 41, 2, 4),
    ScaleLayer(2, 41, 2, 16),
    ScaleLayer(4, 41, 4, 16),
    ScaleLayer(8, 41, 4, 16),
    ScaleLayer(8, 41, 1, 16),
    ScaleLayer(8, 5),
]


class ScaleDiscriminator(Discriminator):
    """Convolutions in time at one sample rate; logits `[B, 1, T / product of strides]`."""

    def __init__(
        self,
        layers: Iterable[ScaleLayer],
        *,
        channels: int,
        filters: int,
        slope: float,
        norm: Callable[[nn.Module], nn.Module],
    ):
        convolutions: list[nn.Module] = []
        size = channels
        for layer in layers:
            convolution = nn.Conv1d(
                size,
                filters * layer.width,
                layer.kernel,
                layer.stride,
                layer.kernel // 2,
                groups=layer.groups,
                padding_mode=layer.padding_mode,
            )
            convolutions.append(norm(convolution))
            size = filters * layer.width
        super().__init__(convolutions, norm(nn.Conv1d(size, 1, 3, padding=1)), slope)


class _MultiScale(DiscriminatorBank):
    """Each discriminator hears the signal at half the rate of the one before it."""

    def views(self, x: Tensor) -> list[Tensor]:
        """`[B, C, T]`, `[B, C, T / 2 + 1]`, ...: averages of four samples, every second kept."""
        shortest = _MIN_SAMPLES << (self.num_discriminators - 1)
        if x.shape[-1] < shortest:
            raise ArgumentError(
                f"a signal of {x.shape[-1]} samples: {self.num_discriminators} scales need at "
                f"least {shortest}"
            )
        views = [x]
        while len(views) < self.num_discriminators:
            views.append(F.avg_pool1d(views[-1], 4, 2, 2))
        return views


class MultiScaleDiscriminator(_MultiScale):
    """MelGAN's, with reflected edges; 16.9 M parameters by default."""

    def __init__(
        self, scales: int = 3, *, channels: int = 1, filters: int = 16, slope: float = 0.2
    ):
        """`channels`: of the signal; `filters`: of the first layer, all others in proportion.

        Raises:
            ArgumentError: if `filters` is not a multiple of 4.
        """
        if filters < 4 or filters % 4:
            raise ArgumentError(f"filters {filters}: must be a multiple of 4")
        super().__init__(
            ScaleDiscriminator(
                _melgan_layers(filters),
                channels=channels,
                filters=filters,
                slope=slope,
                norm=weight_norm,
            )
            for _ in range(scales)
        )


class HiFiGANScaleDiscriminator(_MultiScale):
    """HiFi-GAN's, spectral norm at the full rate only; 29.6 M parameters by default."""

    def __init__(
        self, scales: int = 3, *, channels: int = 1, filters: int = 128, slope: float = 0.1
    ):
        """`channels`: of the signal; `filters`: of the first layer, all others in proportion.

        Raises:
            ArgumentError: if `filters` is not a multiple of 16.
        """
        if filters < 16 or filters % 16:
            raise ArgumentError(f"filters {filters}: must be a multiple of 16")
        super().__init__(
            ScaleDiscriminator(
                _HIFIGAN_LAYERS,
                channels=channels,
                filters=filters,
                slope=slope,
                norm=weight_norm if scale else spectral_norm,
            )
            for scale in range(scales)
        )
