"""A linear layer's weights, packed once for the processor where no gradient is wanted."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ncodec.kernels.cached import lasting
from ncodec.kernels.plain import Product
from ncodec.kernels.switch import is_portable
from ncodec.kernels.table import pack

_FEW = 16


class PackedLinear:
    """A weight `[out, in]` and bias, if any, as products of one and of many rows read them best.

    A product with one row takes as long as its weights take to read. Where float16 holds them
    exactly, as those of a model file in half precision, they are packed as float16: half the bytes,
    and the products and sums stay float32. One row is multiplied so with bfloat16 weights too.
    Each is packed when it is first needed.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight, self.width = weight, weight.shape[1]
        self.bias = weight.new_zeros(len(weight)) if bias is None else bias

    @lasting
    def one(self) -> Product:
        """Multiply one row, `[..., 1, in]` of float32."""
        if self.weight.dtype == torch.bfloat16 or self.exact:
            return pack("row", torch.float32)(self.weight.float(), self.bias.float())
        return self.many

    @lasting
    def many(self) -> Product:
        """Multiply any rows, of the weight's type."""
        operation = "half rows" if self.exact else "rows"
        return pack(operation, self.weight.dtype)(self.weight, self.bias)

    def few(self, x: Tensor) -> Tensor:
        """Multiply rows of float32 so that a few take as long as their weights take to read, once.

        Of weights that float16 does not hold, more than a row needs a second form in memory.
        """
        if self.exact:
            return self.many(x)
        if self.width < x.numel() <= _FEW * self.width:
            return self._few(x)
        return functional.linear(x, self.weight, self.bias)

    @lasting
    def _few(self) -> Product:
        return pack("few rows", self.weight.dtype)(self.weight, self.bias)

    @lasting
    def exact(self) -> bool:
        """Whether float16 holds the weights as they are."""
        if is_portable() or self.weight.dtype != torch.float32:
            return False
        return torch.equal(self.weight.half(), self.weight)
