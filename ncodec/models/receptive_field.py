"""How far a codec of convolutions sees: from its sizes, without running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ncodec.nn import Conv1d, ConvTranspose1d
from ncodec.streaming import Residual, Sequential, Streamable


def first_input(layer: Streamable, output: int) -> int:
    """Return the first input that output number `output` depends on; below 0 is padding."""
    if isinstance(layer, Conv1d):
        return output * layer.stride - layer.padding[0]
    if isinstance(layer, ConvTranspose1d):
        return -((layer.kernel_size - 1 - output - layer.trim[0]) // layer.stride)
    return _through(layer, output, first_input, min)


def last_input(layer: Streamable, output: int) -> int:
    """Return the last input that output number `output` depends on."""
    if isinstance(layer, Conv1d):
        return output * layer.stride - layer.padding[0] + layer.span - 1
    if isinstance(layer, ConvTranspose1d):
        return (output + layer.trim[0]) // layer.stride
    return _through(layer, output, last_input, max)


def _through(
    layer: Streamable,
    output: int,
    side: Callable[[Streamable, int], int],
    outermost: Callable[[int, int], int],
) -> int:
    if isinstance(layer, Sequential):
        for inner in reversed(list(layer)):
            output = side(inner, output)
        return output
    if isinstance(layer, Residual):
        straight = output if layer.shortcut is None else side(layer.shortcut, output)
        return outermost(side(layer.branch, output), straight)
    return output


class ReceptiveField(NamedTuple):
    """What follows for a codec of hop H.

    Attributes:
        encoder_lookahead: Samples beyond a frame's own H that its code waits for.
        decoder_held: Samples that the decoder still holds when F frames, F * H samples, have come.
        preroll_frames: Frames before one that its audio depends on.
        postroll_frames: Frames after one that its audio depends on.
        samples: Samples that one sample depends on, through encoder and decoder.
    """

    encoder_lookahead: int
    decoder_held: int
    preroll_frames: int
    postroll_frames: int
    samples: int


def receptive_field_of(encoder: Streamable, decoder: Streamable, hop: int) -> ReceptiveField:
    """Work out the receptive field of an encoder and a decoder without recurrence."""
    frame = 1 << 16  # any, far from the start
    samples = range(frame * hop, (frame + 1) * hop)
    first = min(first_input(decoder, t) for t in samples)
    last = max(last_input(decoder, t) for t in samples)
    end = frame * hop
    while last_input(decoder, end - 1) >= frame:
        end -= 1
    return ReceptiveField(
        encoder_lookahead=max(0, last_input(encoder, 0) + 1 - hop),
        decoder_held=frame * hop - end,
        preroll_frames=frame - first,
        postroll_frames=last - frame,
        samples=last_input(encoder, last) - first_input(encoder, first) + 1,
    )
