"""How far a codec of convolutions sees: from its sizes, without running it."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

from ncodec.nn import Conv1d, ConvTranspose1d
from ncodec.streaming import Mean, Residual, Sequential, Streamable


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
    if isinstance(layer, Mean):
        inputs = [side(branch, output) for branch in layer]
        return reduce(outermost, inputs)
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


class DecoderField(NamedTuple):
    """What follows for what makes H samples of each frame.

    Attributes:
        held: Samples that it still holds when F frames, F * H samples, have come.
        preroll_frames: Frames before one that its audio depends on.
        postroll_frames: Frames after one that its audio depends on.
    """

    held: int
    preroll_frames: int
    postroll_frames: int


def decoder_field_of(decoder: Streamable, hop: int) -> DecoderField:
    """Work out the receptive field of a decoder without recurrence."""
    frame = 1 << 16  # any, far from the start
    samples = range(frame * hop, (frame + 1) * hop)
    first = min(first_input(decoder, t) for t in samples)
    last = max(last_input(decoder, t) for t in samples)
    end = frame * hop
    while last_input(decoder, end - 1) >= frame:
        end -= 1
    return DecoderField(frame * hop - end, frame - first, last - frame)


def receptive_field_of(encoder: Streamable, decoder: Streamable, hop: int) -> ReceptiveField:
    """Work out the receptive field of an encoder and a decoder without recurrence."""
    field = decoder_field_of(decoder, hop)
    frame = 1 << 16
    first, last = frame - field.preroll_frames, frame + field.postroll_frames
    return ReceptiveField(
        encoder_lookahead=max(0, last_input(encoder, 0) + 1 - hop),
        decoder_held=field.held,
        preroll_frames=field.preroll_frames,
        postroll_frames=field.postroll_frames,
        samples=last_input(encoder, last) - first_input(encoder, first) + 1,
    )
