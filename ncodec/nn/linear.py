"""Linear layer whose weights, where no gradient is wanted, are packed once for the processor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.derived import Derived, parts_of

Product = Callable[[Tensor], Tensor]


class Linear(nn.Linear):
    """`nn.Linear` that computes in the type of its weights: `[..., in]` to `[..., out]`.

    A product with one row takes as long as its weights take to read. Where float16 holds them
    exactly, as those of a model file in half precision, they are packed as float16: half the bytes,
    and the products and sums stay float32. One row is multiplied so with bfloat16 weights too.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self._product: Derived[Product] = Derived(_pack)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it
        """Return the affine map of `input`."""
        if torch.is_grad_enabled() or not input.is_cpu:
            return functional.linear(input.to(self.weight.dtype), self.weight, self.bias)
        return self._product(*parts_of(self))(input)


def _pack(weight: Tensor, bias: Tensor) -> Product:
    if weight.dtype == torch.bfloat16:
        one, many = _halves(weight.float(), bias.float()), _blocks(weight, bias)
        return lambda x: one(x) if x.numel() == x.shape[-1] else many(x.to(torch.bfloat16))
    if torch.equal(weight.half(), weight):
        return _halves(weight, bias)
    return _blocks(weight, bias)


def _halves(weight: Tensor, bias: Tensor) -> Product:
    """Multiply by float16 weights in float32, by FBGEMM."""
    if torch.backends.quantized.engine not in ("x86", "fbgemm", "onednn"):
        return lambda x: functional.linear(x, weight, bias)
    packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
    return lambda x: torch.ops.quantized.linear_dynamic_fp16.default(x, packed)


def _blocks(weight: Tensor, bias: Tensor) -> Product:
    """Multiply by weights in the order in which oneDNN reads them."""
    mkldnn = torch.ops.mkldnn
    low = weight.dtype == torch.bfloat16
    if not torch.backends.mkldnn.is_available() or (low and not mkldnn._is_mkldnn_bf16_supported()):
        return lambda x: functional.linear(x, weight, bias)
    packed = mkldnn._reorder_linear_weight(weight)
    return lambda x: mkldnn._linear_pointwise.default(x, packed, bias, "none", [], "")
