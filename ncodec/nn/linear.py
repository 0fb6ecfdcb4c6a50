"""Linear layer whose weights, where no gradient is wanted, are packed once for the processor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.errors import ArgumentError
from ncodec.kernels import Derived, PackedLinear


class Linear(nn.Linear):
    """`nn.Linear` that computes in the type of its weights: `[..., in]` to `[..., out]`.

    Where no gradient is wanted, they are packed once for the processor; see `PackedLinear`.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self._packed = Derived(PackedLinear)

    @property
    def packed(self) -> PackedLinear:
        """The weights as they are now, ready for products without gradients."""
        own = self._parameters  # an attribute of a module takes longer to find
        return self._packed(own["weight"], own["bias"])

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it
        """Return the affine map of `input`.

        Raises:
            ArgumentError: The input is of another width.
        """
        if torch.is_grad_enabled() or not input.is_cpu:
            return functional.linear(input.to(self.weight.dtype), self.weight, self.bias)
        packed = self.packed
        width, values = input.shape[-1], input.numel()
        if width != packed.width:
            raise ArgumentError(f"{width} values a row: this layer takes {packed.width}")
        if values == width:
            return packed.one(input)
        if not values:
            return input.new_zeros(*input.shape[:-1], packed.weight.shape[0])
        return packed.many(input.to(packed.weight.dtype))
