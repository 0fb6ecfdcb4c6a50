"""The layers of an LSTM over weights that are packed once."""

from __future__ import annotations

import torch
from torch import Tensor

from ncodec.kernels.cached import Derived
from ncodec.kernels.plain import Product, Recurrence
from ncodec.kernels.switch import is_exporting, is_portable
from ncodec.kernels.table import choose, pack

States = tuple[Tensor, Tensor]


class LSTMLayers:
    """What `nn.LSTM` computes, where no gradient is wanted and there is a faster way, or a plainer.

    Args:
        layers: Their number.
    """

    def __init__(self, layers: int) -> None:
        self._whole = [Derived(_recurrence) for _ in range(layers)]
        self._rows = [Derived(_row) for _ in range(layers)]

    def takes(self, x: Tensor) -> bool:
        """Say whether there is such a way for signals `[T, B, C]`.

        `nn.LSTM` without gradients is oneDNN's too: what is portable is written out.
        """
        return (
            not torch.is_grad_enabled()
            and not is_exporting()  # graphs have an operator for all of it
            and x.device.type == "cpu"
            and x.dtype in (torch.float32, torch.bfloat16)
            and (is_portable() or choose("lstm", x.dtype) is not None)
        )

    def step(self, x: Tensor, state: States, weights: tuple[Tensor, ...]) -> tuple[Tensor, States]:
        """Run signals `[T, B, C]`, T and B > 0, through the layers.

        `weights` are each layer's weights of input and state, then their biases.
        """
        single = x.dtype == torch.bfloat16 and x.shape[:2] == (1, 1)
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        for k, (h, c) in enumerate(zip(*state, strict=True)):
            own = weights[4 * k : 4 * k + 4]
            if single:
                x, after, cell = _one(self._rows[k](*own), x, h, c)
            else:
                x, after, cell = self._whole[k](*own)(x, h, c)
            hidden.append(after)
            cells.append(cell)
        return x, (torch.stack(hidden), torch.stack(cells))


def _recurrence(*weights: Tensor) -> Recurrence:
    return pack("lstm", weights[0].dtype)(*weights)


def _row(
    input_weight: Tensor, hidden_weight: Tensor, input_bias: Tensor, hidden_bias: Tensor
) -> Product:
    """Return the product of input and hidden state, side by side, with both weights."""
    weight = torch.cat([input_weight, hidden_weight], dim=1).float()
    return pack("row", torch.float32)(weight, input_bias.float() + hidden_bias.float())


def _one(product: Product, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take one sample of one signal in bfloat16: a product of one row a layer."""
    inner = product(torch.cat([x[0], h], dim=1).float())
    i, f, g, o = inner.chunk(4, dim=1)
    cell = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
    out = (o.sigmoid() * cell.tanh()).to(x.dtype)
    return out[None], out, cell.to(x.dtype)
