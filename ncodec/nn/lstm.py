"""LSTM with a skip connection, as EnCodec has it between its convolutions and the latent."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.kernels import LSTMLayers, parts_of
from ncodec.streaming import State, Streamable


@dataclass(frozen=True)
class LSTMState:
    """What the layers remember, `[layers, B, C]` each."""

    hidden: Tensor = field(metadata={"row": 1})
    cell: Tensor = field(metadata={"row": 1})


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
        self._packed = LSTMLayers(layers)

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
        return LSTMState(zeros, zeros)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return as many samples as `x` has.

        Raises:
            ArgumentError: The state is of another number of signals, or the channels are wrong.
        """
        assert isinstance(state, LSTMState)
        batch, channels, length = x.shape
        known = state.hidden.shape[1]
        if channels != self.channels or known != batch:
            raise ArgumentError(
                f"{batch} signals of {channels} channels: the state has {known} "
                f"signals, the layer {self.channels} channels"
            )
        if length == 0 or batch == 0:  # oneDNN divides by both
            return x, state
        # time first, as the library has it
        signal = x.permute(2, 0, 1).to(state.hidden.dtype).contiguous()
        before = state.hidden, state.cell
        if self._packed.takes(signal):
            weights = parts_of(parts_of(self)[0])
            y, after = self._packed.step(signal, before, weights)
        else:
            y, after = self.lstm(signal, before)
        return (y + signal).permute(1, 2, 0), LSTMState(*after)

    def end(self, x: Tensor, state: State) -> Tensor:
        """Return as many samples as `x` has."""
        return self.step(x, state)[0]

    def flush(self, state: State) -> Tensor:
        """Return nothing: `[B, C, 0]`."""
        assert isinstance(state, LSTMState)
        return state.hidden.new_zeros(state.hidden.shape[1], self.channels, 0)
