"""What all discriminators share: interface, stack of convolutions, combination."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

from ncodec.errors import ArgumentError

FeatureMaps: TypeAlias = list[list[Tensor]]


class Discriminator(nn.Module):
    """One network: a view of the signal, convolutions with leaky ReLU, one more to the logits."""

    def __init__(self, layers: Iterable[nn.Module], post: nn.Module, slope: float):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.post = post
        self.slope = slope

    def prepare(self, x: Tensor) -> Tensor:
        """Turn the signal `[B, C, T]` into what the first layer takes."""
        return x

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge `x` `[B, C, T]`: logits `[B, 1, ...]` and the output of each hidden layer."""
        h = self.prepare(x)
        features: list[Tensor] = []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), self.slope)
            features.append(h)
        return self.post(h), features


class MultiDiscriminator(nn.Module, ABC):
    """Several discriminators that hear one signal."""

    @property
    @abstractmethod
    def num_discriminators(self) -> int:
        """How many logits, and lists of feature maps, `forward` returns."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[list[Tensor], FeatureMaps]:
        """Judge `x` `[B, C, T]`; the logits and the feature maps of each discriminator.

        Raises:
            ArgumentError: if the signal is too short for one of them.
        """


class DiscriminatorBank(MultiDiscriminator):
    """Discriminators of one family."""

    def __init__(self, discriminators: Iterable[Discriminator]):
        super().__init__()
        self.discriminators = nn.ModuleList(discriminators)

    @property
    def num_discriminators(self) -> int:
        """See `MultiDiscriminator`."""
        return len(self.discriminators)

    def views(self, x: Tensor) -> Sequence[Tensor]:
        """The signal as each discriminator hears it."""
        return [x] * self.num_discriminators

    def forward(self, x: Tensor) -> tuple[list[Tensor], FeatureMaps]:
        """See `MultiDiscriminator`."""
        pairs = [d(view) for d, view in zip(self.discriminators, self.views(x), strict=True)]
        return [logits for logits, _ in pairs], [features for _, features in pairs]


class CombinedDiscriminator(MultiDiscriminator):
    """Several families behind one interface, in the order given."""

    def __init__(self, parts: Sequence[MultiDiscriminator]):
        super().__init__()
        if not parts:
            raise ArgumentError("no discriminators given: at least one is needed")
        self.parts = nn.ModuleList(parts)
        self._num_discriminators = sum(part.num_discriminators for part in parts)

    @property
    def num_discriminators(self) -> int:
        """See `MultiDiscriminator`."""
        return self._num_discriminators

    def forward(self, x: Tensor) -> tuple[list[Tensor], FeatureMaps]:
        """See `MultiDiscriminator`."""
        logits: list[Tensor] = []
        features: FeatureMaps = []
        for part in self.parts:
            some_logits, some_features = part(x)
            logits += some_logits
            features += some_features
        return logits, features
