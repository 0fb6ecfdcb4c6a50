"""Multi-period discriminator: HiFi-GAN (Kong et al., 2020)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from ncodec.adversarial.base import Discriminator, DiscriminatorBank
from ncodec.errors import ArgumentError

_WIDTHS = (1, 4, 16, 32, 32)
"""Channels of the layers over those of the first: 32, 128, 512, 1024, 1024 at full size."""


class PeriodDiscriminator(Discriminator):
    """Looks at every `period`-th sample: the signal folded to `[B, C, T / period, period]`."""

    def __init__(self, period: int, *, channels: int = 1, filters: int = 32, slope: float = 0.2):
        """`channels`: of the signal; `filters`: of the first layer."""
        if period < 1:
            raise ArgumentError(f"period {period}: must be positive")
        sizes = [channels, *(filters * width for width in _WIDTHS)]
        layers = [
            weight_norm(nn.Conv2d(sizes[i], sizes[i + 1], (5, 1), (3 if i < 4 else 1, 1), (2, 0)))
            for i in range(len(_WIDTHS))
        ]
        post = weight_norm(nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)))
        super().__init__(layers, post, slope)
        self.period = period

    def prepare(self, x: Tensor) -> Tensor:
        """`[B, C, T]` to `[B, C, T / period, period]`, the end filled up by reflection."""
        length = x.shape[-1]
        if length < self.period:
            raise ArgumentError(f"a signal of {length} samples: period {self.period} needs as many")
        return F.pad(x, (0, -length % self.period), mode="reflect").unflatten(-1, (-1, self.period))


class MultiPeriodDiscriminator(DiscriminatorBank):
    """One `PeriodDiscriminator` a period; 41.1 M parameters by default."""

    def __init__(
        self,
        periods: Sequence[int] = (2, 3, 5, 7, 11),
        *,
        channels: int = 1,
        filters: int = 32,
        slope: float = 0.2,
    ):
        """`channels`: of the signal; `filters`: of the first layer, all others in proportion."""
        super().__init__(
            PeriodDiscriminator(period, channels=channels, filters=filters, slope=slope)
            for period in periods
        )
