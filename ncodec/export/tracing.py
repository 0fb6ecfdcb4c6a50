"""A model's steps as functions of tensors, and these as ONNX.

What is traced are the steps themselves, in portable kernels. Two things make a trace wrong without
an error, and are looked after here: a number in a state becomes a constant, so steps are traced in
the phase in which no number changes any more; a branch on a size becomes that of the example, so
examples have sizes that no branch asks for, and `checking` runs others.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.export.description import OPSET
from ncodec.kernels import exporting, portable
from ncodec.models.base import CompressionModel
from ncodec.models.fixed import encoding
from ncodec.streaming import (
    Leaf,
    State,
    leaves_of,
    shape_of,
    tensors_like,
    tensors_of,
    with_tensors,
)

BATCH, FRAMES = 2, 5
"""Of the examples: no branch asks for these, and no layer has such a size."""
RUN_IN = 400
"""Frames by which every stream has begun."""


class Way(NamedTuple):
    """One direction through a model.

    Attributes:
        name: "encoder" or "decoder".
        given: What goes in: "audio", "latent" or "mel".
        out: What comes out: "codes" or "audio".
        unit: Of that, how much a frame is.
        begin: Number of streams to the state before them.
        step: Input and state to output and state.
        end: The last input and a state to all output that is left.
        example: Number of streams, frames and further samples to an input.
        steps_end: Whether steps end a stream too, and there is no end.
        at_once: Most frames that a step takes, or None.
        odd: Whether the last input may have any number of samples.
    """

    name: str
    given: str
    out: str
    unit: int
    begin: Callable[[Any], State]
    step: Callable[[Tensor, State], tuple[Tensor, State]]
    end: Callable[[Tensor, State], Tensor]
    example: Callable[[int, int, int], Tensor]
    steps_end: bool = False
    at_once: int | None = None
    odd: bool = False


def encoder_of(model: CompressionModel) -> Way:
    """Return the way from samples to the codes of all codebooks."""
    streams = model.encoder_state(BATCH, codebooks=model.total_codebooks).streams
    own: Any = model

    def example(batch: int, frames: int, samples: int = 0) -> Tensor:
        return 0.1 * torch.randn(batch, model.channels, frames * model.hop + samples)

    def end(x: Tensor, state: State) -> Tensor:
        return own._quantize(own._encode_end(x, state), streams)

    return Way(
        "encoder",
        "audio",
        "codes",
        1,
        lambda batch: own._encoder_state(batch, model.device),
        encoding(model, streams),
        end,
        example,
        model.ends_with_steps,
        model.frames_at_once,
        odd=not model.fills_last_frame,
    )


def decoder_of(model: CompressionModel) -> Way:
    """Return the way from latents to samples."""
    own: Any = model

    def example(batch: int, frames: int, samples: int = 0) -> Tensor:
        codes = [torch.randint(n, (batch, frames)) for n in model.codebook_sizes]
        latent: Tensor = own._decode_latent(torch.stack(codes, dim=1))
        return latent

    return Way(
        "decoder",
        "latent",
        "audio",
        model.hop,
        lambda batch: own._decoder_state(batch, model.device),
        lambda x, state: own._decode_step(x, None, state),
        own._decode_end,
        example,
        model.ends_with_steps,
        model.frames_at_once,
    )


class Phase(NamedTuple):
    """The phase in which no number of a state changes any more.

    Attributes:
        least: Frames until then; 0 if zero states can stand for the start.
        drop: How much comes out too early if they do.
        state: A state of it, of `BATCH` streams.
        picked: Which of its tensors the graphs carry: not those without values.
    """

    least: int
    drop: int
    state: State
    picked: tuple[bool, ...]

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The tensors that the graphs carry."""
        return tuple(compress(leaves_of(self.state), self.picked))


def phase_of(way: Way) -> Phase:
    """Run streams until their states stay as they are, but for values and what grows.

    Raises:
        ArgumentError: They never do.
    """
    with torch.no_grad(), portable():
        state, known = way.begin(BATCH), list[Any]()
        for frames in range(RUN_IN):
            known.append(_signature(state))
            if known[-3:] == 3 * known[-1:] and frames >= 2:
                break
            _, state = way.step(way.example(BATCH, 1, 0), state)
        else:
            raise ArgumentError(f"streams still begin after {RUN_IN} frames: no graph fits them")
        least = len(known) - 3
        picked = tuple(
            leaf.tensor.numel() > 0 or leaf.grows is not None for leaf in leaves_of(state)
        )
        phase = Phase(least, 0, state, picked)
        drop = _dropped(way, phase)
        return phase if drop is None else phase._replace(least=0, drop=drop)


def _signature(state: State) -> list[Any]:
    """Return all that a trace makes constant."""
    sizes = [
        tuple(n for axis, n in enumerate(leaf.tensor.shape) if axis != leaf.grows)
        for leaf in leaves_of(state)
    ]
    numbers = [x for x in shape_of(state) if not isinstance(x, tuple)]
    return [sizes, numbers]


def _dropped(way: Way, phase: Phase) -> int | None:
    """Say how much more comes out if the start is taken for a later phase; None if it differs."""
    begin = way.begin(BATCH)
    sizes = [[*compress(_signature(x)[0], phase.picked)] for x in (begin, phase.state)]
    if sizes[0] != sizes[1]:
        return None
    if any(tensor.count_nonzero() for tensor in tensors_of(begin)):
        return None
    x = way.example(BATCH, phase.least + FRAMES, 0)
    meant, _ = way.step(x, begin)
    found, _ = way.step(x, with_tensors(phase.state, tensors_of(begin)))
    more = found.shape[2] - meant.shape[2]
    if more < 0 or not torch.allclose(found[..., more:], meant, rtol=0, atol=1e-6):
        return None
    return more


class Traced(nn.Module):
    """A function to be traced: `(x, *states)` to `(y, *states)`; in all of them the batch is first.

    Args:
        model: Whose weights become the graph's.
        run: Input and state to output and the state after it, or None after an end.
        begin: Makes the state of a graph that has none as input; None if it has.
        phase: Of the states that come in and go out.
        carries: Whether states go out.
    """

    def __init__(
        self,
        model: nn.Module,
        run: Callable[[Tensor, State], tuple[Tensor, State]],
        begin: Callable[[Any], State] | None,
        phase: Phase,
        carries: bool,
    ) -> None:
        super().__init__()
        self.model, self._run, self._begin = model, run, begin
        self._phase, self._carries = phase, carries

    def forward(self, x: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        """Run once."""
        with exporting():
            state = self._state(list(given)) if self._begin is None else self._begin(x.shape[0])
            y, after = self._run(x, state)
        if not self._carries:
            return (y,)
        own = zip(tensors_like(after, self._phase.state), leaves_of(self._phase.state), strict=True)
        return (y, *compress((_batch_first(*each) for each in own), self._phase.picked))

    def _state(self, given: list[Tensor]) -> State:
        tensors = [
            given.pop(0).movedim(0, leaf.row or 0) if picked else leaf.tensor
            for leaf, picked in zip(leaves_of(self._phase.state), self._phase.picked, strict=True)
        ]
        return with_tensors(self._phase.state, tensors)


def _batch_first(tensor: Tensor, leaf: Leaf) -> Tensor:
    return tensor.movedim(leaf.row, 0) if leaf.row else tensor


def shape_in_graph(leaf: Leaf) -> tuple[int | None, ...]:
    """Return a state's sizes in a graph; None for the batch and for what grows."""
    sizes = list[int | None](leaf.tensor.shape)
    if leaf.grows is not None:
        sizes[leaf.grows] = None
    row = leaf.row or 0
    return (None, *sizes[:row], *sizes[row + 1 :])


def values_in_graph(leaf: Leaf) -> Tensor:
    """Return a state's values as a graph takes them."""
    return _batch_first(leaf.tensor, leaf)


def to_onnx(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> bytes:
    """Trace a module and return the model; no axis but those named may vary.

    Raises:
        ArgumentError: PyTorch cannot trace or write something in it.
    """
    file: Any = io.BytesIO()  # which the exporter takes, though its types do not say so
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.onnx")
        # anything but a question about a size leaves the graph with the example's values
        lost: type[Warning] = vars(torch.jit)["TracerWarning"]
        warnings.simplefilter("error", lost)
        warnings.filterwarnings("ignore", ".*Python boolean", lost)
        try:
            torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                file,
                dynamo=False,
                opset_version=OPSET,
                do_constant_folding=False,  # weights stay as they are, each of them once
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={name: dict(of) for name, of in axes.items()},
            )
        except (lost, torch.onnx.OnnxExporterError, RuntimeError, SystemError) as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise ArgumentError(f"no graph can be made of this model: {reason}") from error
    return file.getvalue()
