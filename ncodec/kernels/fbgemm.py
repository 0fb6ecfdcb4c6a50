"""FBGEMM's products: weights as float16, half the bytes to read; products and sums are float32."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from ncodec.kernels.plain import Product

# Of the two calls in `row`. `catch_warnings` around them would change what other threads see.
warnings.filterwarnings("ignore", r".*fbgemm_(pack_gemm_matrix|linear)_fp16", UserWarning)


def there(dtype: torch.dtype) -> bool:
    """Say whether PyTorch's quantized products are FBGEMM's here."""
    return dtype == torch.float32 and torch.backends.quantized.engine in ("x86", "fbgemm", "onednn")


def linear(weight: Tensor, bias: Tensor | None) -> Product:
    """As `plain.linear`, for weights that float16 holds exactly."""
    packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
    call = torch.ops.quantized.linear_dynamic_fp16.default
    return lambda x: call(x, packed)


def row(weight: Tensor, bias: Tensor) -> Product:
    """As `linear`, for one row: the same kernel and the same bits.

    PyTorch deprecates this older form, but its call takes a quarter of the time.
    """
    packed = torch.fbgemm_pack_gemm_matrix_fp16(weight)
    call = torch.fbgemm_linear_fp16_weight
    return lambda x: call(x, packed, bias)


def rows(weight: Tensor, bias: Tensor) -> Product:
    """As `linear`, same bits, by the call of `row` while PyTorch has one thread: it uses no more.

    With AVX2 it takes a sixth less for some 75 rows.
    """
    alone, shared = row(weight, bias), list[Product]()

    def multiply(x: Tensor) -> Tensor:
        if torch.get_num_threads() == 1:
            return alone(x)
        if not shared:
            shared.append(linear(weight, bias))
        return shared[0](x)

    return multiply
