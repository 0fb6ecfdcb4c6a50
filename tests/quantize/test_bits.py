"""What codes cost, as the search weighs it, against the integers that a decoder computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ncodec.quantize import ResidualVQ
from ncodec.quantize.bits import CodeBits, Search
from ncodec_formats.entropy import Tables
from ncodec_formats.entropy.predictor import Predictor
from ncodec_formats.entropy.toy import toy_tables

SIZES = (64,) * 4
FRAMES = 9


def _mild(tables: Tables) -> Tables:
    """Return tables that are less sure of things, as trained ones are."""
    layers = [
        replace(layer, blocks=layer.blocks // 16, entries=layer.entries // 16)
        for layer in tables.layers
    ]
    return replace(tables, layers=tuple(layers))


TOY = _mild(toy_tables(SIZES))
BITS = CodeBits.of(TOY, torch.device("cpu"))


def _codes(streams: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 64, (streams, 4, FRAMES)).astype(np.uint16)


def _sums(codes: Tensor, layer: int) -> Tensor:
    """Embeddings of the lower layers of codes `[B, K, F]`: `[B, F, width]`."""
    zero = torch.zeros(len(codes), FRAMES, BITS.width)
    return sum((BITS.embed(k, codes[:, k]) for k in range(layer)), zero)


@pytest.mark.parametrize("layer", range(4))
def test_bits_are_what_codes_cost(layer: int) -> None:
    codes, predictor = _codes(), Predictor(TOY)
    below = predictor.sums(codes[:, :layer])
    past = predictor.sums(codes[:, : layer + (layer < TOY.own)])
    units = predictor.units(layer, predictor.context(below, past).reshape(2 * FRAMES, -1))
    own = codes[:, layer].flatten()
    blocks, places = np.divmod(TOY.layers[layer].places[own], 8)
    rows, share = np.arange(2 * FRAMES), 1.0
    for symbols, frequencies in (
        (blocks, predictor.block_frequencies(layer, units)),
        (places, predictor.place_frequencies(layer, units, blocks)),
    ):
        share = share * frequencies[rows, symbols] / frequencies.sum(axis=1)
    whole = torch.from_numpy(codes.astype(np.int64))
    found = BITS.costs(layer, _sums(whole, layer)[:, :, None], whole[:, layer])
    assert found.shape == (2, FRAMES, 1, 64)
    mine = found[:, :, 0].reshape(-1, 64)[rows, own.astype(int)].numpy()
    likely = share > 2**-12  # where integers are not coarse; a sixteenth of an octave is a step
    assert likely.sum() >= 6
    assert np.abs(mine + np.log2(share))[likely].max() < 0.1


def test_paths_share_what_neighbours_are_taken_to_be() -> None:
    codes = torch.from_numpy(_codes().astype(np.int64))
    sums, own = _sums(codes, 2), codes[:, 2]
    other = sums + 3
    alone = BITS.costs(2, sums[:, :, None], own)
    both = BITS.costs(2, torch.stack([sums, other], dim=2), own)
    assert torch.allclose(both[:, :, :1], alone, atol=1e-4)
    assert not torch.allclose(both[:, :, 1:], alone, atol=1e-1)


@pytest.mark.parametrize("width", [1, 4])
def test_cheaper_codes_at_a_small_error(width: int) -> None:
    torch.manual_seed(0)
    vq, z = ResidualVQ(8, 4, 64).eval(), torch.randn(2, 8, FRAMES)

    def measure(price: float) -> tuple[float, float]:
        codes = vq.encode(z, beam=Search(width, price, BITS))
        assert codes.shape == (2, 4, FRAMES)
        bits = 0.0
        for k in range(4):
            costs = BITS.costs(k, _sums(codes, k)[:, :, None], codes[:, k])[:, :, 0]
            bits += float(costs.gather(2, codes[:, k, :, None]).sum())
        return float((z - vq.decode(codes)).square().mean()), bits

    errors, bits = zip(*map(measure, (0.0, 0.03, 1.0)), strict=True)
    assert torch.equal(vq.encode(z, beam=Search(width, 0.0, BITS)), vq.encode(z, beam=width))
    assert bits[0] > bits[1] > bits[2]
    assert errors[2] > max(errors[:2])


def test_greedy_codes_hang_on_no_book_above() -> None:
    torch.manual_seed(0)
    vq, z, search = ResidualVQ(8, 4, 64).eval(), torch.randn(1, 8, 40), Search(1, 0.05, BITS)
    whole = vq.encode(z, beam=search)
    assert not torch.equal(whole, vq.encode(z))
    for count in (1, 2, 3):
        assert torch.equal(vq.encode(z, count, search), whole[:, :count])


def test_books_beyond_the_tables_cost_nothing() -> None:
    torch.manual_seed(0)
    few = CodeBits(toy_tables(SIZES[:2]), torch.device("cpu"))
    vq, z = ResidualVQ(8, 4, 64).eval(), torch.randn(1, 8, 12)
    assert vq.encode(z, beam=Search(3, 0.05, few)).shape == (1, 4, 12)


def test_a_quiet_stream_does_not_pay_for_a_loud_one() -> None:
    torch.manual_seed(0)
    vq, search = ResidualVQ(8, 4, 64).eval(), Search(1, 0.05, BITS)
    loud, quiet = torch.randn(1, 8, 20), 0.05 * torch.randn(1, 8, 20)
    both = vq.encode(torch.cat([loud, quiet]), beam=search)
    assert torch.equal(both[1:], vq.encode(quiet, beam=search))
