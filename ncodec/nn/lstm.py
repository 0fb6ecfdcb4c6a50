"""LSTM with a skip connection, as EnCodec has it between its convolutions and the latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
        y, state = self.lstm(x.transpose(1, 2), state)
        return y.transpose(1, 2) + x, state

    def flush(self, state: State) -> Tensor:
        """Return nothing: `[B, C, 0]`."""
        return state[0].new_zeros(state[0].shape[1], self.channels, 0)
