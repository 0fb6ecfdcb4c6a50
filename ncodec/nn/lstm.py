"""LSTM with a skip connection, as EnCodec has it between its convolutions and the latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ncodec.derived import Derived, parts_of
from ncodec.errors import ArgumentError
from ncodec.nn.linear import Product, row_product
from ncodec.streaming import State, Streamable


class LSTM(Streamable):
    """`layers` LSTM layers over `[B, C, T]`, whose input is added to their output.

    Args:
        channels: Width of input, state and output.
        layers: Number of layers.
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.channels, self.layers = channels, layers
        self.lstm = nn.LSTM(channels, channels, layers)
        self._packed = [Derived(_pack) for _ in range(layers)]
        self._rows = [Derived(_as_row_product) for _ in range(layers)]

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return zero hidden and cell states."""
        weight = next(self.lstm.parameters())
        zeros = torch.zeros(
            self.layers,
            batch,
            self.channels,
            device=device if device is not None else weight.device,
            dtype=dtype if dtype is not None else weight.dtype,
        )
        return (zeros, zeros)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return as many samples as `x` has.

        Raises:
            ArgumentError: The state is of another number of signals, or the channels are wrong.
        """
        batch, channels, length = x.shape
        if channels != self.channels or state[0].shape[1] != batch:
            raise ArgumentError(
                f"{batch} signals of {channels} channels: the state has {state[0].shape[1]} "
                f"signals, the layer {self.channels} channels"
            )
        if length == 0 or batch == 0:  # oneDNN divides by both
            return x, state
        # time first, as the library has it
        signal = x.permute(2, 0, 1).to(state[0].dtype).contiguous()
        if not _can_pack(signal):
            y, state = self.lstm(signal, state)
        elif signal.dtype == torch.bfloat16 and signal.shape[:2] == (1, 1):
            y, state = self._step_one(signal, state)
        else:
            y, state = self._step_packed(signal, state)
        return (y + signal).permute(1, 2, 0), state

    def _step_one(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one sample of one signal in bfloat16: a product of one row a layer."""
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        weights = self._weights()
        for k, (h, c) in enumerate(zip(*state, strict=True)):
            product = self._rows[k](*weights[4 * k : 4 * k + 4])
            inner = product(torch.cat([x[0], h], dim=1).float())
            i, f, g, o = inner.chunk(4, dim=1)
            cell = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
            x = (o.sigmoid() * cell.tanh()).to(x.dtype)[None]
            hidden.append(x[0])
            cells.append(cell.to(x.dtype))
        return x, (torch.stack(hidden), torch.stack(cells))

    def _step_packed(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        weights = self._weights()
        for k, (h, c) in enumerate(zip(*state, strict=True)):
            own = weights[4 * k : 4 * k + 4]
            packed = self._packed[k](own[0], own[1])
            options = (False, [], _LSTM_MODE, self.channels, 1, True, False, False, False)
            x, h_last, c_last, _ = torch.ops.aten.mkldnn_rnn_layer(
                x, *packed, *own[2:], h, c, *options
            )
            hidden.append(h_last)
            cells.append(c_last)
        return x, (torch.stack(hidden), torch.stack(cells))

    def _weights(self) -> tuple[Tensor, ...]:
        """Return each layer's weights of input and state, then their biases."""
        return parts_of(parts_of(self)[0])

    def flush(self, state: State) -> Tensor:
        """Return nothing: `[B, C, 0]`."""
        return state[0].new_zeros(state[0].shape[1], self.channels, 0)


_LSTM_MODE = 2  # of mkldnn_rnn_layer


def _as_row_product(
    input_weight: Tensor, hidden_weight: Tensor, input_bias: Tensor, hidden_bias: Tensor
) -> Product:
    """Return the product of input and hidden state, side by side, with both weights."""
    weight = torch.cat([input_weight, hidden_weight], dim=1).float()
    return row_product(weight, input_bias.float() + hidden_bias.float())


def _pack(input_weight: Tensor, hidden_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Lay a layer's weights out as oneDNN wants them; `nn.LSTM` does so anew on each call."""
    width = hidden_weight.shape[1]
    a, b = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
        input_weight, hidden_weight, width, False, True, False, [1, 1, width]
    )
    return a, b


def _can_pack(x: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_reorder_mkldnn_rnn_layer_weight")
    )
