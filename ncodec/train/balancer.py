"""Balancing of losses by the gradients that they send to the model's output (EnCodec, 2022)."""

from collections.abc import Mapping
from typing import TypedDict

import torch
import torch.distributed as dist
from torch import Tensor

from ncodec.errors import ArgumentError, NcodecError

_EPSILON = 1e-12


class BalancerState(TypedDict):
    """What a resumed run needs, in plain numbers."""

    sums: dict[str, float]
    counts: dict[str, float]


class Balancer:
    """Gives each loss its share of the gradient, whatever the loss's own scale.

    The gradient g of loss i at the output is multiplied by
    `weight_i / sum(weights) * total_norm / EMA(|g|)`. `|g|` is the sum of the L2 norms of a batch's
    items: for losses that are means over the batch it depends neither on the batch's size nor on
    the number of processes that share it.
    """

    def __init__(
        self, weights: Mapping[str, float], *, total_norm: float = 1.0, decay: float = 0.999
    ):
        """Set it up.

        Args:
            weights: the share of each loss by name, positive; only their ratios matter.
            total_norm: norm of the sum, were all gradients parallel and as long as usual.
            decay: of the moving average of norms, which is corrected for its start.

        Raises:
            ArgumentError: for a value out of its range.
        """
        if not weights or any(not weight > 0 for weight in weights.values()):
            raise ArgumentError(f"weights {dict(weights)}: must be one or more positive numbers")
        if not 0 <= decay < 1:
            raise ArgumentError(f"decay {decay}: must be in [0, 1)")
        if not total_norm > 0:
            raise ArgumentError(f"total_norm {total_norm}: must be positive")
        self.weights = dict(weights)
        self.total_norm = total_norm
        self.decay = decay
        self._sums: dict[str, float] = {}
        self._counts: dict[str, float] = {}

    def backward(
        self, losses: Mapping[str, Tensor], output: Tensor, *, unbalanced: Tensor | None = None
    ) -> dict[str, float]:
        """Accumulate gradients in one backward pass from the output.

        Args:
            losses: scalars that depend on `output`; those of `weights` that are present share
                among themselves.
            output: what the model returned, `[B, ...]`, not a leaf.
            unbalanced: a scalar that reaches the model by other ways, such as the commitment loss;
                its gradient is added as it is.

        Returns:
            The norm of each loss's gradient before balancing, averaged over processes.

        Raises:
            ArgumentError: for no losses or one without a weight.
            NcodecError: if a norm is not finite; nothing has been accumulated then.
        """
        unknown = [name for name in losses if name not in self.weights]
        if unknown or not losses:
            raise ArgumentError(
                f"losses {list(losses)}: must be one or more of {list(self.weights)}"
            )
        gradients = {
            name: torch.autograd.grad(loss, output, retain_graph=True)[0]
            for name, loss in losses.items()
        }
        norms = _norms(gradients)
        broken = {name: norm for name, norm in norms.items() if not norm < float("inf")}
        if broken:
            raise NcodecError(f"gradients that are not finite, by loss: {broken}")
        shares = sum(self.weights[name] for name in losses)
        balanced = torch.zeros_like(output)
        for name, gradient in gradients.items():
            usual = self._average(name, norms[name])
            share = self.weights[name] / shares
            balanced += gradient * (share * self.total_norm / (usual + _EPSILON))
        if unbalanced is None:
            torch.autograd.backward([output], [balanced])
        else:
            torch.autograd.backward([output, unbalanced], [balanced, torch.ones_like(unbalanced)])
        return norms

    def _average(self, name: str, norm: float) -> float:
        self._sums[name] = self._sums.get(name, 0.0) * self.decay + norm
        self._counts[name] = self._counts.get(name, 0.0) * self.decay + 1
        return self._sums[name] / self._counts[name]

    def state_dict(self) -> BalancerState:
        """The moving averages, as plain numbers."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state: BalancerState) -> None:
        """Go on from `state_dict`."""
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])


def _norms(gradients: Mapping[str, Tensor]) -> dict[str, float]:
    """Averaged over processes, in one exchange and one wait for the device."""
    norms = torch.stack(
        [torch.linalg.vector_norm(g.float().flatten(1), dim=1).sum() for g in gradients.values()]
    )
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(norms)
        norms /= dist.get_world_size()
    return dict(zip(gradients, norms.tolist(), strict=True))
