"""The receptive field that sizes give is that which a disturbed sample shows."""

from __future__ import annotations

import pytest
import torch

from ncodec.models.receptive_field import first_input, last_input, receptive_field_of
from ncodec.nn import Conv1d, ConvTranspose1d
from ncodec.streaming import Residual, Sequential, Streamable


def conv(kernel: int, **options: object) -> Conv1d:
    return Conv1d(1, 1, kernel, bias=False, **options)  # type: ignore[arg-type]


def transposed(kernel: int, stride: int, trim: tuple[int, int]) -> ConvTranspose1d:
    return ConvTranspose1d(1, 1, kernel, stride=stride, bias=False, trim=trim)


ENCODERS = {
    "causal": lambda: conv(4, stride=2, padding=(2, 0)),
    "centred": lambda: conv(5, stride=2, padding=(2, 2)),
    "dilated": lambda: Sequential(
        Residual(conv(3, dilation=3, padding=(3, 3))), conv(4, stride=2, padding=(1, 1))
    ),
    "shortcut": lambda: Sequential(Residual(conv(3, padding=(2, 0)), conv(1)), conv(2, stride=2)),
}
DECODERS = {
    "causal": lambda: transposed(4, 2, (0, 2)),
    "centred": lambda: transposed(4, 2, (1, 1)),
    "deep": lambda: Sequential(
        conv(3, padding=(1, 1)), transposed(4, 2, (1, 1)), Residual(conv(7, padding=(3, 3)))
    ),
}


def positive(layer: Streamable) -> Streamable:
    """Give all taps weights above zero, so that no input is without effect."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(0.5, 1.0)
    return layer


@torch.inference_mode()
def inputs_of(layer: Streamable, output: int, length: int) -> tuple[int, int]:
    """Return the first and last input that an output depends on, by trying each."""

    def run(x: torch.Tensor) -> torch.Tensor:
        y, state = layer.step(x, layer.initial_state(len(x)))
        return torch.cat([y, layer.flush(state)], dim=-1)[..., output]

    moved = run(torch.eye(length)[:, None]).flatten().nonzero().flatten()
    return int(moved[0]), int(moved[-1])


@pytest.mark.parametrize("make", [*ENCODERS.values(), *DECODERS.values()])
def test_the_inputs_of_an_output(make) -> None:
    layer = positive(make())
    for output in (20, 21, 22, 23):
        expected = first_input(layer, output), last_input(layer, output)
        assert inputs_of(layer, output, 80) == expected


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("decoder", DECODERS)
def test_what_follows_for_a_codec(encoder: str, decoder: str) -> None:
    hop, frame = 2, 15
    into, out = positive(ENCODERS[encoder]()), positive(DECODERS[decoder]())
    found = receptive_field_of(into, out, hop)
    seen = [inputs_of(out, frame * hop + i, 40) for i in range(hop)]
    first, last = min(a for a, _ in seen), max(b for _, b in seen)
    assert (found.preroll_frames, found.postroll_frames) == (frame - first, last - frame)
    samples = inputs_of(into, first, 100)[0], inputs_of(into, last, 100)[1]
    assert found.samples == samples[1] - samples[0] + 1
    assert found.encoder_lookahead == max(0, last_input(into, 0) + 1 - hop)
    y, _ = out.step(torch.zeros(1, 1, frame), out.initial_state(1))
    assert frame * hop - y.shape[-1] == found.decoder_held
