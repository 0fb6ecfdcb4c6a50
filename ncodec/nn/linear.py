"""Linear layer whose weights, where no gradient is wanted, are packed once for the processor."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.derived import Derived, lasting, parts_of
from ncodec.errors import ArgumentError

# Of the two calls below. `catch_warnings` around them would change what other threads see.
warnings.filterwarnings("ignore", r".*fbgemm_(pack_gemm_matrix|linear)_fp16", UserWarning)

Product = Callable[[Tensor], Tensor]


class Linear(nn.Linear):
    """`nn.Linear` that computes in the type of its weights: `[..., in]` to `[..., out]`.

    A product with one row takes as long as its weights take to read. Where float16 holds them
    exactly, as those of a model file in half precision, they are packed as float16: half the bytes,
    and the products and sums stay float32. One row is multiplied so with bfloat16 weights too.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self._packed: Derived[Packed] = Derived(Packed)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it
        """Return the affine map of `input`.

        Raises:
            ArgumentError: The input is of another width.
        """
        if torch.is_grad_enabled() or not input.is_cpu:
            return functional.linear(input.to(self.weight.dtype), self.weight, self.bias)
        packed = self._packed(*parts_of(self))
        width, values = input.shape[-1], input.numel()
        if width != packed.width:
            raise ArgumentError(f"{width} values a row: this layer takes {packed.width}")
        if values == width:
            return packed.one(input)
        if not values:
            return input.new_zeros(*input.shape[:-1], packed.weight.shape[0])
        return packed.many(input.to(packed.weight.dtype))


class Packed:
    """A weight `[out, in]` and bias as the products of one and of many rows read them best.

    Each is packed when it is first needed.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias, self.width = weight, bias, weight.shape[1]

    @lasting
    def one(self) -> Product:
        """Multiply one row, `[..., 1, in]` of float32."""
        if self.weight.dtype == torch.bfloat16 or self._exact:
            return row_product(self.weight.float(), self.bias.float())
        return self.many

    @lasting
    def many(self) -> Product:
        """Multiply any rows, of the weight's type."""
        return _halves(self.weight, self.bias) if self._exact else _blocks(self.weight, self.bias)

    @lasting
    def _exact(self) -> bool:
        return self.weight.dtype == torch.float32 and torch.equal(self.weight.half(), self.weight)


def row_product(weight: Tensor, bias: Tensor) -> Product:
    """As `_halves`, for one row: the same kernel and the same bits.

    PyTorch deprecates this older form, but its call takes a quarter of the time; where there is
    none any more, the newer serves.
    """
    if not _has_fbgemm() or not hasattr(torch, "fbgemm_linear_fp16_weight"):
        return _halves(weight, bias)
    packed = torch.fbgemm_pack_gemm_matrix_fp16(weight)
    return lambda x: torch.fbgemm_linear_fp16_weight(x, packed, bias)


def _halves(weight: Tensor, bias: Tensor) -> Product:
    """Multiply by float16 weights in float32, by FBGEMM."""
    if not _has_fbgemm():
        return lambda x: functional.linear(x, weight, bias)
    packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
    return lambda x: torch.ops.quantized.linear_dynamic_fp16.default(x, packed)


def _has_fbgemm() -> bool:
    return torch.backends.quantized.engine in ("x86", "fbgemm", "onednn")


def _blocks(weight: Tensor, bias: Tensor) -> Product:
    """Multiply by weights in the order in which oneDNN reads them."""
    mkldnn = torch.ops.mkldnn
    low = weight.dtype == torch.bfloat16
    if not torch.backends.mkldnn.is_available() or (low and not mkldnn._is_mkldnn_bf16_supported()):
        return lambda x: functional.linear(x, weight, bias)
    packed = mkldnn._reorder_linear_weight(weight)
    return lambda x: mkldnn._linear_pointwise.default(x, packed, bias, "none", [], "")
