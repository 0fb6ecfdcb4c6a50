"""Losses of discriminators and of the generator that they judge."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Literal, TypeAlias

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from ncodec.adversarial.base import FeatureMaps, MultiDiscriminator
from ncodec.errors import ArgumentError

AdversarialName: TypeAlias = Literal["hinge", "hinge2", "mse"]
Criterion: TypeAlias = Callable[[Tensor], Tensor]


def _to(target: float) -> Criterion:
    """Least squares (Mao et al., 2017)."""
    return lambda logits: (logits - target).square().mean()


def _above(logits: Tensor) -> Tensor:
    """Hinge: 0 from 1 upwards."""
    return F.relu(1 - logits).mean()


def _below(logits: Tensor) -> Tensor:
    """Hinge: 0 from -1 downwards."""
    return F.relu(1 + logits).mean()


def _linear(logits: Tensor) -> Tensor:
    return -logits.mean()


_ADV: dict[str, Criterion] = {"hinge": _linear, "hinge2": _above, "mse": _to(1)}
_FAKE: dict[str, Criterion] = {"hinge": _below, "hinge2": _below, "mse": _to(0)}
_REAL: dict[str, Criterion] = {"hinge": _above, "hinge2": _above, "mse": _to(1)}


def _choose(criteria: dict[str, Criterion], name: str) -> Criterion:
    if name not in criteria:
        raise ArgumentError(f"adversarial loss {name!r}: must be one of {', '.join(criteria)}")
    return criteria[name]


def get_adv_criterion(name: AdversarialName) -> Criterion:
    """What the generator minimises over the logits of its fakes."""
    return _choose(_ADV, name)


def get_fake_criterion(name: AdversarialName) -> Criterion:
    """What a discriminator minimises over its logits of fakes."""
    return _choose(_FAKE, name)


def get_real_criterion(name: AdversarialName) -> Criterion:
    """What a discriminator minimises over its logits of real signals."""
    return _choose(_REAL, name)


class FeatureMatchingLoss(nn.Module):
    """Mean absolute difference of feature maps: mean over layers, then over discriminators.

    Args:
        sums: Sum over both instead.
    """

    def __init__(self, *, sums: bool = False) -> None:
        super().__init__()
        self._reduce = _sum if sums else _mean

    def forward(self, fake: FeatureMaps, real: FeatureMaps) -> Tensor:
        """A scalar; no gradient flows into `real`.

        Raises:
            ArgumentError: if the two do not have the same numbers of maps.
        """
        counts = [len(maps) for maps in fake], [len(maps) for maps in real]
        if counts[0] != counts[1] or not counts[0]:
            raise ArgumentError(
                f"feature maps of fakes {counts[0]} and reals {counts[1]}: must be as many"
            )
        return self._reduce(
            self._reduce(F.l1_loss(f, r.detach()) for f, r in zip(fakes, reals, strict=True))
            for fakes, reals in zip(fake, real, strict=True)
        )


class AdversarialLoss(nn.Module):
    """Discriminators with their optimiser, and the losses that they give to a generator.

    In each step call `train_adv` on the generator's output first, then the module itself, whose
    losses belong to the generator's optimiser. `discriminator` and `optimizer` are public, for
    checkpoints.
    """

    def __init__(
        self,
        discriminator: MultiDiscriminator,
        optimizer: torch.optim.Optimizer,
        loss: AdversarialName = "hinge",
        *,
        sums: bool = False,
    ):
        """Set it up.

        Args:
            discriminator: Those who judge.
            optimizer: Over the parameters of `discriminator`, and none but those.
            loss: What both sides minimise.
            sums: Sum over discriminators, layers and logits, as HiFi-GAN does, where means are
                taken otherwise; the logits then count as a layer to be matched.

        Raises:
            ArgumentError: for an unknown loss or an optimiser over other parameters.
        """
        super().__init__()
        self.discriminator = discriminator
        self.optimizer = optimizer
        optimized = [p for group in optimizer.param_groups for p in group["params"]]
        if {id(p) for p in optimized} != {id(p) for p in discriminator.parameters()}:
            raise ArgumentError(
                "the optimizer's parameters must be those of the discriminators: it has "
                f"{len(optimized)}, they have {len(list(discriminator.parameters()))}"
            )
        self._adv = get_adv_criterion(loss)
        self._fake = get_fake_criterion(loss)
        self._real = get_real_criterion(loss)
        self._sums = sums
        self._reduce = _sum if sums else _mean
        self._feature_matching = FeatureMatchingLoss(sums=sums)

    def train_adv(self, fake: Tensor, real: Tensor) -> Tensor:
        """Train the discriminators by one step; their loss, a scalar without a graph.

        No gradient reaches the generator through `fake` `[B, C, T]`. Processes of
        `torch.distributed` average their gradients.
        """
        _check_shapes(fake, real)
        self.optimizer.zero_grad(set_to_none=True)
        fake_logits, _ = self.discriminator(fake.detach())
        real_logits, _ = self.discriminator(real.detach())
        loss = self._reduce(
            self._fake(f) + self._real(r) for f, r in zip(fake_logits, real_logits, strict=True)
        )
        loss.backward()
        _average_gradients(self.discriminator.parameters())
        self.optimizer.step()
        return loss.detach()

    def forward(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's losses, adversarial and of feature matching.

        The discriminators get no gradient from them.
        """
        _check_shapes(fake, real)
        with _frozen(self.discriminator):
            logits, fake_features = self.discriminator(fake)
            with torch.no_grad():
                real_logits, real_features = self.discriminator(real)
        adv = self._reduce(self._adv(x) for x in logits)
        if self._sums:
            fake_features = _with_logits(fake_features, logits)
            real_features = _with_logits(real_features, real_logits)
        return adv, self._feature_matching(fake_features, real_features)


def _check_shapes(fake: Tensor, real: Tensor) -> None:
    if fake.shape != real.shape:
        raise ArgumentError(
            f"fake {tuple(fake.shape)} and real {tuple(real.shape)}: must have one shape"
        )


def _with_logits(features: FeatureMaps, logits: list[Tensor]) -> FeatureMaps:
    return [[*maps, last] for maps, last in zip(features, logits, strict=True)]


def _mean(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()


def _sum(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).sum()


@contextmanager
def _frozen(module: nn.Module) -> Generator[None, None, None]:
    """Graphs built inside lead through the module, not into its parameters."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def _average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Not by DistributedDataParallel, which allows one forward pass for each backward pass."""
    if not (dist.is_available() and dist.is_initialized()):
        return
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()
