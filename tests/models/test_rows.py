"""Streams that began apart, stepped together: each gives what it would give alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel
from ncodec.models.records import DecoderState, EncoderState
from tests.models.test_wrong_calls import FAMILIES

RUN_IN = {"spectral": 4, "encodec": 8, "dac": 60, "mimi": 12}
"""Frames after which streams of the tiny models are in phase."""
FRAMES = 30


def models() -> dict[str, CompressionModel]:
    torch.manual_seed(0)
    return {family: FAMILIES[family]().eval() for family in RUN_IN}


MODELS = models()


class Stream:
    """One stream: its sound, its codes when it is alone, and what it gave in company."""

    def __init__(self, model: CompressionModel, seed: int, begin: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.run_in = RUN_IN[model.name] + begin
        total = (self.run_in + FRAMES) * model.hop
        self.audio = 0.1 * torch.randn(1, model.channels, total, generator=generator)
        self.at = 0
        self.encoder, self.decoder = model.encoder_state(1), model.decoder_state(1)
        self.codes: list[Tensor] = []
        self.heard: list[Tensor] = []

    def next(self, model: CompressionModel, frames: int) -> Tensor:
        begin, self.at = self.at, self.at + frames * model.hop
        return self.audio[..., begin : self.at]


def together(model: CompressionModel, streams: list[Stream], frames: int, split: Any) -> None:
    """Step streams as one batch, and leave each its own state again."""
    encoder: EncoderState = model.stack_rows([s.encoder for s in streams])
    decoder: DecoderState = model.stack_rows([s.decoder for s in streams])
    audio = torch.cat([stream.next(model, frames) for stream in streams])
    for part in audio.split(model.hop * split, dim=2):
        chunks, encoder = model.encode_step(part, encoder)
        for chunk in chunks:
            heard, decoder = model.decode_step(chunk, decoder)
            for row, stream in enumerate(streams):
                stream.codes.append(chunk.codes[row : row + 1])
                stream.heard.append(heard[row : row + 1])
    for row, stream in enumerate(streams):
        stream.encoder = model.take_rows(encoder, [row])
        stream.decoder = model.take_rows(decoder, [row])


@pytest.mark.parametrize("family", RUN_IN)
@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_any_splits_and_joins_equal_each_alone(family: str, data: st.DataObject) -> None:
    model = MODELS[family]
    with torch.inference_mode():
        begins = data.draw(st.lists(st.integers(0, 5), min_size=2, max_size=4))
        streams = [Stream(model, seed, begin) for seed, begin in enumerate(begins)]
        for stream in streams:
            together(model, [stream], stream.run_in, 4)
        left = FRAMES
        while left:
            frames = data.draw(st.integers(1, left))
            order = data.draw(st.permutations(streams))
            cut = data.draw(st.integers(0, len(order) - 1))
            for group in (order[:cut], order[cut:]):
                if group:
                    together(model, group, frames, data.draw(st.integers(1, 3)))
            left -= frames
        for stream in streams:
            stream.codes += [c.codes for c in model.encode_flush(stream.encoder)]
            codes = torch.cat(stream.codes, dim=2)
            assert torch.equal(codes, model.encode(stream.audio)[0])
            heard = torch.cat(stream.heard, dim=2)
            assert heard.shape[2] > 20 * model.hop
            want = model.decode(codes)[..., : heard.shape[2]]
            assert (heard - want).abs().max() < 1e-5


def test_segments_are_rows_too() -> None:
    model = FAMILIES["encodec segments"]().eval()
    with torch.inference_mode():
        x = 0.1 * torch.randn(2, model.channels, 1500)
        chunks, state = model.encode_step(x, model.encoder_state(2))
        decoder = model.decoder_state(2)
        for chunk in chunks:
            _, decoder = model.decode_step(chunk, decoder)
        swapped = model.stack_rows([model.take_rows(decoder, [1]), model.take_rows(decoder, [0])])
        heard, back = model.decode_flush(decoder), model.decode_flush(swapped)
        assert torch.equal(back, heard.flip(0))
        last = model.encode_flush(model.take_rows(state, [1, 0]))
        for one, other in zip(model.encode_flush(state), last, strict=True):
            assert torch.equal(one.codes, other.codes.flip(0))
        work, later = model.decode_latent_later(
            model.decode_latent(chunks[0].codes), chunks[0].scale, model.decoder_state(2)
        )
        work()
        assert model.take_rows(later, [1]).streams.batch == 1


@pytest.mark.parametrize("family", RUN_IN)
def test_streams_out_of_phase_are_refused(family: str) -> None:
    model = MODELS[family]
    with torch.inference_mode():
        x = 0.1 * torch.randn(1, model.channels, 40 * model.hop)
        _, old = model.encode_step(x, model.encoder_state(1))
        _, odd = model.encode_step(x[..., : 39 * model.hop - 1], model.encoder_state(1))
        new = model.encoder_state(1)
        unlike = [[old, odd]] if family == "spectral" else [[old, odd], [old, new]]
        for states in unlike:  # zeros stand before SpectralCodec's first sample: no beginning
            with pytest.raises(ArgumentError, match="different phases"):
                model.stack_rows(states)
        fewer = model.encoder_state(1, codebooks=2)
        with pytest.raises(ArgumentError, match="codebooks"):
            model.stack_rows([new, fewer])
        with pytest.raises(ArgumentError, match="must come from"):
            model.stack_rows([new, model.decoder_state(1)])
        with pytest.raises(ArgumentError, match="at least one"):
            model.stack_rows([])
        for rows in ([1], [-1], [0.5], [True]):
            with pytest.raises(ArgumentError, match="row"):
                model.take_rows(old, rows)
        with pytest.raises(ArgumentError, match="state"):
            model.take_rows(None, [0])  # pyright: ignore[reportArgumentType]
        none = model.take_rows(old, [])
        assert none.streams.batch == 0
        assert model.encode_step(x[:0], none)[0][0].codes.shape[0] == 0
