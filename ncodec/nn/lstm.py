"""LSTM with a skip connection, as EnCodec has it between its convolutions and the latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ncodec.streaming import State, Streamable

FEW_SAMPLES = 4
"""Up to here the layers are run cell by cell: the library's fused layer lays its weights anew at
each call, most of what live audio, a frame at a time, would wait for (5 of 6 ms, measured)."""


class LSTM(Streamable):
    """`layers` LSTM layers over `[B, C, T]`, whose input is added to their output.

    Args:
        channels: Width of input, state and output.
        layers: Number of layers.
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.channels, self.layers = channels, layers
        self.lstm = nn.LSTM(channels, channels, layers, batch_first=True)

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
        """Return as many samples as `x` has."""
        if x.shape[2] == 0:
            return x, state
        if x.shape[2] <= FEW_SAMPLES:
            return self._step_cells(x, state)
        y, state = self.lstm(x.transpose(1, 2), state)
        return y.transpose(1, 2) + x, state

    def _step_cells(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        hidden, cell = list(state[0]), list(state[1])
        outputs: list[Tensor] = []
        for t in range(x.shape[2]):
            y = x[:, :, t]
            for k, weights in enumerate(self.lstm.all_weights):
                y, cell[k] = torch.lstm_cell(y, (hidden[k], cell[k]), *weights)
                hidden[k] = y
            outputs.append(y)
        return torch.stack(outputs, dim=2) + x, (torch.stack(hidden), torch.stack(cell))

    def flush(self, state: State) -> Tensor:
        """Return nothing: `[B, C, 0]`."""
        return state[0].new_zeros(state[0].shape[1], self.channels, 0)
