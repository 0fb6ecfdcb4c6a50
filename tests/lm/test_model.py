"""LMModel: steps and whole sequences, states that stay, bounded context, losses."""

import math

import pytest
import torch
import torch.nn.functional as F

from ncodec.errors import ArgumentError
from ncodec.lm import Conditions, LMModel
from ncodec.lm.transformer import Decoder
from ncodec.streaming import stack_rows, take_rows
from tests.lm.small import NEAR, TAGS, TEXT, lm, text_conditions
from tests.machine import needs_bf16

CONFIGS = {"sin": TEXT, "rope": TAGS, "near": NEAR}


@pytest.fixture(params=CONFIGS)
def model(request) -> LMModel:
    return lm(CONFIGS[request.param])


def conditions(model: LMModel) -> Conditions:
    if model.config.condition == "tags":
        return model.tag_conditions([("rain", "dog"), ()])
    return text_conditions(model, [5, 3])


def sequence(model: LMModel, frames: int, batch: int = 2, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    codes = torch.randint(model.config.bins, (batch, model.num_codebooks, frames))
    return model.pattern.layout(frames).sequence(codes, model.special_token_id)


@pytest.mark.parametrize("sizes", [[1], [7], [64], [30, 1, 1, 3]])
@pytest.mark.parametrize("inference", [True, False])
def test_steps_equal_the_whole_sequence(model: LMModel, sizes: list[int], inference: bool) -> None:
    x, told = sequence(model, 60), conditions(model)
    with torch.inference_mode(inference), torch.no_grad():
        whole = model(x, told)
        state, parts, at = model.initial_state(2, told), list[torch.Tensor](), 0
        while at < x.shape[2]:
            size = sizes[len(parts) % len(sizes)]
            logits, state = model.step(x[..., at : at + size], state)
            parts.append(logits)
            at += size
    assert (torch.cat(parts, dim=2) - whole).abs().max() < 5e-6
    assert whole.std() > 0.3


def test_a_state_stays_good_after_it_was_used(model: LMModel) -> None:
    with torch.inference_mode():
        told = conditions(model)
        first, a, b = sequence(model, 20), sequence(model, 4, seed=1), sequence(model, 4, seed=2)
        _, state = model.step(first, model.initial_state(2, told))
        want = model.step(a[..., 1:5], state)[0]
        _, other = model.step(b[..., 1:5], state)
        for _ in range(3):
            assert torch.equal(model.step(a[..., 1:5], state)[0], want)
        assert torch.equal(
            model.step(b[..., 1:5], other)[0],
            model.step(b[..., 1:5], model.step(b[..., 1:5], state)[1])[0],
        )
    with torch.no_grad():  # a state of inference mode goes on outside
        assert torch.equal(model.step(a[..., 1:5], state)[0], want)


def test_rows_can_be_taken_and_stacked() -> None:
    model = lm(TAGS)
    told = model.tag_conditions([("rain",), ("wind",), ("dog",)])
    x = sequence(model, 20, batch=3)
    with torch.inference_mode():
        _, state = model.step(x[..., :15], model.initial_state(3, told))
        want = model.step(x[..., 15:], state)[0]
        two = take_rows(state, [2, 0])
        assert (model.step(x[[2, 0], :, 15:], two)[0] - want[[2, 0]]).abs().max() < 5e-6
        again = stack_rows([take_rows(state, [1]), two])
        assert (model.step(x[[1, 2, 0], :, 15:], again)[0] - want[[1, 2, 0]]).abs().max() < 5e-6


def test_a_bounded_context_forgets() -> None:
    """Two layers of 9 steps: what lies 17 steps back and more is forgotten."""
    model = lm(TAGS)
    x = sequence(model, 40)
    other = x.clone()
    other[:, :, :10] = (other[:, :, :10] + 5) % model.config.bins
    a, b = model(x), model(other)
    assert (a[:, :, 9] - b[:, :, 9]).abs().max() > 0.01
    assert (a[:, :, 9 + 16] - b[:, :, 9 + 16]).abs().max() > 1e-6
    assert (a[:, :, 9 + 17 :] - b[:, :, 9 + 17 :]).abs().max() < 5e-6


def test_memory_of_a_bounded_context_is_flat_and_places_are_relative() -> None:
    model = lm(TAGS)
    torch.manual_seed(0)
    x = torch.randint(model.config.bins, (1, 4, 900))
    with torch.inference_mode():
        state, rooms = model.initial_state(1), set[int]()
        for at in range(900):
            _, state = model.step(x[..., at : at + 1], state)
            kept = state.decoder.layers[0]
            assert kept.keys.shape[2] <= 8
            assert kept.room is not None
            rooms.add(kept.room.keys.shape[2])
        assert max(rooms) < 300
        # the same last steps, far on in a stream: only distances count
        far = model.initial_state(1)
        far = type(far)(type(far.decoder)(10**6, far.decoder.layers), far.added)
        near = model.initial_state(1)
        near = type(near)(type(near.decoder)(10**3, near.decoder.layers), near.added)
        a, b = model.step(x[..., :40], far)[0], model.step(x[..., :40], near)[0]
    assert (a - b).abs().max() < 1e-5


def test_positions_are_exact_far_on() -> None:
    decoder = Decoder(TEXT)
    (got,) = decoder._angles(1500, 1, torch.zeros(1))
    half = TEXT.dim // 2
    want = [math.cos(1500 * 10000 ** -(i / (half - 1))) for i in range(half)]
    want += [math.sin(1500 * 10000 ** -(i / (half - 1))) for i in range(half)]
    assert (got[0] - torch.tensor(want)).abs().max() < 1e-7


def test_conditions_make_a_difference_in_each_step(model: LMModel) -> None:
    x = sequence(model, 10, batch=1).expand(2, -1, -1)
    logits = model(x, conditions(model))
    assert (logits[0, :, :2] - logits[1, :, :2]).abs().amax((0, 2)).min() > 0.01


def test_rows_without_a_condition_stand_beside_others() -> None:
    """As many rows as have a text are conditioned, the others as if there were none."""
    model = lm(TEXT)
    x = sequence(model, 12, batch=3)
    told = text_conditions(model, [4])
    logits = model(x, told)
    assert (logits[:1] - model(x[:1], told)).abs().max() < 5e-6
    assert (logits[1:] - model(x[1:])).abs().max() < 5e-6
    with pytest.raises(ArgumentError, match="at most one"):
        model.initial_state(1, text_conditions(model, [4, 2]))


def test_loss_is_the_mean_of_the_codebooks_means(model: LMModel) -> None:
    torch.manual_seed(0)
    codes = torch.randint(model.config.bins, (2, 4, 11))
    told = conditions(model)
    got = model.loss(codes, told)
    predicted = model.compute_predictions(codes, told)
    assert predicted.mask[0].sum(1).tolist() == [11, 10, 9, 8]
    means = torch.stack(
        [
            F.cross_entropy(
                predicted.logits[:, k][predicted.mask[:, k]], codes[:, k][predicted.mask[:, k]]
            )
            for k in range(4)
        ]
    )
    assert torch.allclose(got.codebooks, means)
    assert torch.allclose(got.total, means.mean())
    assert 2.5 < got.total.item() < 5.5  # ln 32 is 3.5


def test_padding_is_no_part_of_the_loss(model: LMModel) -> None:
    torch.manual_seed(0)
    codes = torch.randint(model.config.bins, (2, 4, 11))
    mask = torch.ones(2, 11, dtype=torch.bool)
    mask[1, 6:] = False
    told = conditions(model)
    other = codes.clone()
    other[1, :, 6:] = 0
    want, got = model.loss(codes, told, mask), model.loss(other, told, mask)
    assert torch.allclose(want.total, got.total)
    assert not torch.allclose(want.total, model.loss(codes, told).total)


def test_gradients_reach_every_weight(model: LMModel) -> None:
    model.requires_grad_(True)
    codes = torch.randint(model.config.bins, (2, 4, 11))
    model.loss(codes, conditions(model)).total.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (torch.zeros(1, 3, 9, dtype=torch.int64), "batch, 4, frames"),
        (torch.zeros(1, 4, 9), "whole numbers"),
        (torch.full((1, 4, 9), 32), "0 to 31"),
        (torch.zeros(1, 4, 2, dtype=torch.int64), "none to predict"),
    ],
)
def test_codes_that_are_none(codes: torch.Tensor, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        lm(TEXT).loss(codes)


def test_first_weights_are_cut_and_smaller_in_deep_layers() -> None:
    torch.manual_seed(0)
    model = LMModel(TEXT)
    for number, layer in enumerate(model.transformer.layers, 1):
        weight = layer.self_attn.in_proj.weight
        deviation = (1 / (32 * 2 * number)) ** 0.5
        assert abs(weight.std().item() / deviation - 0.99) < 0.05
        assert weight.abs().max() <= 3 * deviation


@needs_bf16
def test_bf16_is_near(model: LMModel) -> None:
    x, told = sequence(model, 20), conditions(model)
    want = model(x, told)
    half = lm(model.config)
    half.set_precision("bf16")
    got = half(x, conditions(half))
    assert got.dtype == torch.float32
    assert 1e-4 < (got - want).abs().max() < 0.2
    with torch.inference_mode():
        _, state = half.step(x[:1, :, :5], half.initial_state(1))
        one, _ = half.step(x[:1, :, 5:6], state)
    assert 1e-4 < (one - model(x[:1])[:, :, 5:6]).abs().max() < 0.2
    with pytest.raises(ArgumentError, match="cannot change"):
        half.set_precision("float32")
