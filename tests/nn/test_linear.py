"""Linear: packed weights give the affine map of the weights as they are now, and gradients flow."""

import copy

import pytest
import torch
from torch.nn import functional

from ncodec.nn.linear import Linear


def layer(dtype: torch.dtype = torch.float32, *, half: bool = False) -> Linear:
    torch.manual_seed(0)
    made = Linear(40, 24)
    if half:
        made.half().float()
    return made.to(dtype)


def expected(made: Linear, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x.double(), made.weight.double(), made.bias.double())


@pytest.mark.parametrize("shape", [(1, 1, 40), (3, 1, 40), (2, 5, 40), (7, 40)])
@pytest.mark.parametrize("half", [True, False])
@torch.inference_mode()
def test_float32_products_are_float32_however_weights_are_packed(shape, half):
    made, x = layer(half=half), torch.randn(shape)
    y = made(x)
    assert y.dtype == torch.float32
    assert torch.allclose(y.double(), expected(made, x), atol=1e-6)


@pytest.mark.parametrize("rows", [1, 6])
@torch.inference_mode()
def test_bfloat16_weights_take_float32_rows(rows):
    made, x = layer(torch.bfloat16), torch.randn(1, rows, 40)
    assert torch.allclose(made(x).double(), expected(made, x), atol=0.02)


@torch.no_grad()
def test_a_changed_weight_or_bias_counts_at_once():
    made, x = layer(half=True), torch.randn(2, 40)
    made(x)
    made.weight.mul_(0.5)
    made.bias.add_(1)
    assert torch.allclose(made(x).double(), expected(made, x), atol=1e-6)
    twin = copy.deepcopy(made)
    twin.weight.zero_()
    assert torch.equal(twin(x), made.bias.expand(2, -1))
    made.to(torch.bfloat16)
    assert torch.allclose(made(x).double(), expected(made, x), atol=0.02)


def test_gradients_flow():
    made, x = layer(half=True), torch.randn(2, 40)
    with torch.no_grad():
        made(x)
    made(x).sum().backward()
    for gradient in (made.weight.grad, made.bias.grad):
        assert gradient is not None
        assert gradient.any()
