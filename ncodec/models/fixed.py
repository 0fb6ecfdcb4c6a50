"""Fixed steps: a codec as functions of tensors whose sizes never change, for export.

A stream's state changes its sizes and numbers while it begins: padding, look-ahead and trimming
pass, attention fills its context. From then on a step of so many frames is one function of tensors
in plain PyTorch. The first frames go through `encode_step` and `decode_step`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.kernels import portable
from ncodec.streaming import State, shape_of, tensors_of, with_tensors

if TYPE_CHECKING:
    from ncodec.models.records import DecoderState, EncoderState

S = TypeVar("S", "EncoderState", "DecoderState")


class FixedStep(nn.Module, Generic[S]):
    """One way through a codec: `(x, *tensors)` to `(y, *tensors)`, all of fixed sizes.

    The encoder takes audio `[B, C, frames * hop]` and gives codes `[B, K, frames]`, the decoder the
    reverse, with its look-ahead. Inputs are not checked.

    Attributes:
        run_in: Frames that a stream must have had before its state fits.
    """

    def __init__(self, model: nn.Module, step: Callable[..., Any], begin: S, x: Tensor) -> None:
        """Find the state that a step leaves as it is in size; `FixedSteps` are made by models."""
        super().__init__()
        self.model = model
        self._step, self._x = step, x
        with torch.inference_mode(False), torch.no_grad(), portable():
            before, self.run_in, net = None, 0, begin.net
            while (shape := shape_of(net)) != before:
                before = shape
                _, net = step(x, net)
                self.run_in += 1
        self.run_in -= 1
        self._begin, self._net = begin, net

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Take the next frames; return what they give, and the tensors to hand to the next step."""
        with portable():
            y, net = self._step(x, with_tensors(self._net, state))
        return (y, *tensors_of(net))

    def tensors(self, state: S) -> tuple[Tensor, ...]:
        """Return a stream's state as the tensors that `forward` takes.

        Raises:
            ArgumentError: The streams are others, or still begin.
        """
        if state.streams != self._begin.streams:
            raise ArgumentError("state of other streams: model, batch and codebooks must be these")
        if shape_of(state.net) != shape_of(self._net):
            raise ArgumentError(f"the stream begins: it must have had {self.run_in} steps at least")
        return tensors_of(state.net)

    def state(self, tensors: tuple[Tensor, ...]) -> S:
        """Return a state for the model's own steps and flush."""
        return type(self._begin)(self._begin.streams, with_tensors(self._net, tensors))

    def example(self) -> tuple[Tensor, ...]:
        """Return inputs to export with."""
        return (self._x, *(tensor.clone() for tensor in tensors_of(self._net)))


class FixedSteps(NamedTuple):
    """Both ways through a codec."""

    encoder: FixedStep[EncoderState]
    decoder: FixedStep[DecoderState]


def encoding(model: Any, streams: Any) -> Callable[[Tensor, State], tuple[Tensor, State]]:
    """Return the step from samples to codes, `[B, K, 0]` where there are none yet."""

    def step(x: Tensor, net: State) -> tuple[Tensor, State]:
        latents, net = model._encode_step(x, net)
        if not latents:
            return torch.zeros(x.shape[0], streams.codebooks, 0, dtype=torch.int64), net
        (latent,) = latents
        return model._quantize(latent.values, streams), net

    return step


def decoding(model: Any) -> Callable[[Tensor, State], tuple[Tensor, State]]:
    """Return the step from codes to samples."""
    return lambda codes, net: model._decode_step(model._decode_latent(codes), None, net)
