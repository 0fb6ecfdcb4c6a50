"""Steps of fixed sizes: equal to the model's own, and exported without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel
from ncodec.models.fixed import FixedStep
from ncodec.models.records import Chunk
from tests.models.test_wrong_calls import FAMILIES

STREAMED = [family for family in FAMILIES if family != "encodec segments"]
FRAMES = 4


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def exported(step: FixedStep) -> Callable[..., tuple[Tensor, ...]]:
    program = torch.export.export(step, step.example())
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [name for name in names if "mkldnn" in name or "quantized" in name]
    return program.module()


def as_it_is(step: FixedStep) -> Callable[..., tuple[Tensor, ...]]:
    return step


@pytest.mark.parametrize(
    ("family", "way"),
    [(family, as_it_is) for family in STREAMED]
    + [(family, exported) for family in ("spectral", "encodec", "mimi")],  # an export takes seconds
)
def test_fixed_steps_give_what_steps_give(
    family: str, way: Callable[[FixedStep], Callable[..., tuple[Tensor, ...]]]
) -> None:
    model: CompressionModel = FAMILIES[family]().eval()
    model.set_num_codebooks(2)
    encoder, decoder = model.fixed_step(FRAMES)
    code, play = way(encoder), way(decoder)
    state, back = model.encoder_state(1), model.decoder_state(1)
    for _ in range(encoder.run_in):
        x = 0.1 * torch.randn(1, model.channels, FRAMES * model.hop)
        _, state = model.encode_step(x, state)
    for _ in range(decoder.run_in):
        _, back = model.decode_step(Chunk(torch.randint(16, (1, 2, FRAMES)), None), back)
    tensors, memory = encoder.tensors(state), decoder.tensors(back)
    for _ in range(3):
        x = 0.1 * torch.randn(1, model.channels, FRAMES * model.hop)
        (chunk,), state = model.encode_step(x, state)
        codes, *tensors = code(x, *tensors)
        assert torch.equal(codes, chunk.codes)
        y, back = model.decode_step(chunk, back)
        heard, *memory = play(codes, *memory)
        assert heard.shape == y.shape == (1, model.channels, FRAMES * model.hop)
        assert torch.allclose(heard, y, rtol=0, atol=1e-6)
    rest = model.decode_flush(decoder.state(tuple(memory)))
    assert torch.allclose(rest, model.decode_flush(back), rtol=0, atol=1e-6)
    last = model.encode_flush(encoder.state(tuple(tensors)))
    assert [c.codes.shape for c in last] == [c.codes.shape for c in model.encode_flush(state)]


def test_states_that_do_not_fit_are_refused() -> None:
    model = FAMILIES["encodec"]().eval()
    encoder, decoder = model.fixed_step(FRAMES)
    with pytest.raises(ArgumentError, match="begins"):
        encoder.tensors(model.encoder_state(1))
    with pytest.raises(ArgumentError, match="other streams"):
        decoder.tensors(model.decoder_state(2))
    with pytest.raises(ArgumentError, match="tensors"):
        encoder.state(())
    for frames in (0, 1.5):
        with pytest.raises(ArgumentError, match="frames"):
            model.fixed_step(frames)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArgumentError, match="segments"):
        FAMILIES["encodec segments"]().fixed_step(1)
