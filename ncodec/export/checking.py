"""Exported graphs against their model: what a trace has lost shows at other sizes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.export.codec import OnnxCodec
from ncodec.models.base import CompressionModel
from ncodec.models.mimi import SplitVQ
from ncodec.models.records import Chunk
from ncodec.quantize.stages import rows_of
from ncodec.streaming import join_all

AUDIO = 1e-5
"""Of the largest sample: far above rounding, far below what a lost number does."""
TIE = 1e-6
"""Of the larger of 1 and the best score: two entries so near may change places by rounding."""


@torch.no_grad()
def check_graphs(model: CompressionModel, folder: Path) -> None:
    """Run streams of several sizes through graphs and model.

    Raises:
        ArgumentError: Something comes out otherwise.
    """
    codec = OnnxCodec(folder)
    ways = filter(None, (codec.config.encoder, codec.config.decoder))
    least = max(way.least for way in ways)
    generator = torch.Generator().manual_seed(0)
    for batch, frames, more in ((1, 1, 1), (2, least + 6, 0), (1, least + 9, model.hop // 2 + 1)):
        audio = 0.1 * torch.randn(
            batch, model.channels, frames * model.hop + more, generator=generator
        )
        audio[..., : 2 * model.hop] = 0  # digital silence first: floors matter there
        meant, _ = model.encode(audio)
        for steps in (None, 1, 3):
            found = encoded(codec, audio, None if steps is None else steps * model.hop + 1)
            if found.shape != meant.shape or largest_gap(model, audio, meant, found) > TIE:
                raise ArgumentError(f"{folder}: the graphs give other codes than {model.name}")
            sound, expected = decoded(codec, meant, steps), model.decode(meant)
            worst = (sound - expected).abs().max() if sound.shape == expected.shape else 1.0
            if not worst <= AUDIO * max(float(expected.abs().max()), 0.1):
                raise ArgumentError(f"{folder}: the graphs give other audio than {model.name}")


@torch.no_grad()
def largest_gap(model: CompressionModel, audio: Tensor, meant: Tensor, found: Tensor) -> float:
    """Say how far apart the entries' scores are where codes first differ in a frame; 0 if nowhere.

    In units of the larger of 1 and the frame's best score. What follows in a frame after a code
    that differs is coded from other rests.
    """
    own: Any = model
    latents, state = own._encode_step(audio, own._encoder_state(audio.shape[0], model.device))
    z = torch.cat([x.values for x in [*latents, *own._encode_flush(state, len(audio))]], dim=2)
    worst, first = 0.0, 0
    for stages, rows in searches(model.quantizer, z):
        last = first + len(list(stages))
        columns = [x[:, first:last].transpose(1, 2).flatten(0, 1) for x in (meant, found)]
        worst, first = max(worst, _gap(list(stages), rows, *columns)), last
    return worst


def searches(quantizer: Any, z: Tensor) -> list[tuple[Iterable[Any], Tensor]]:
    """Return the residual searches of a quantizer, and the rows that each begins with."""
    if isinstance(quantizer, SplitVQ):
        parts = (quantizer.semantic, quantizer.acoustic)
        return [(part.rvq, part.input(rows_of(z))) for part in parts]
    return [(quantizer, rows_of(z))]


def _gap(stages: list[Any], rest: Tensor, meant: Tensor, found: Tensor) -> float:
    """As `largest_gap`, of one search: codes `[N, K]`."""
    same, worst = torch.ones(len(rest), dtype=torch.bool), 0.0
    for stage, right, other in zip(stages, meant.unbind(1), found.unbind(1), strict=False):
        differs = same & (right != other)
        if differs.any():
            scores = stage.scores(rest[differs])
            pair = scores.gather(1, torch.stack([right, other], dim=1)[differs])
            unit = scores.abs().amax(dim=1).clamp(min=1)
            worst = max(worst, float(((pair[:, 0] - pair[:, 1]).abs() / unit).max()))
        same &= right == other
        rest = rest - stage.decode(right)
    return worst


def encoded(model: CompressionModel, audio: Tensor, samples: int | None) -> Tensor:
    """Code signals in pieces of so many samples, or whole."""
    state, chunks = model.encoder_state(audio.shape[0]), list[Chunk]()
    for piece in audio.split(samples or audio.shape[2], dim=2):
        ready, state = model.encode_step(piece, state)
        chunks += ready
    return torch.cat([chunk.codes for chunk in [*chunks, *model.encode_flush(state)]], dim=2)


def decoded(model: CompressionModel, codes: Tensor, frames: int | None) -> Tensor:
    """Decode codes in pieces of so many frames, or whole."""
    state, parts = model.decoder_state(codes.shape[0]), list[Tensor]()
    for piece in codes.split(frames or codes.shape[2], dim=2):
        y, state = model.decode_step(Chunk(piece, None), state)
        parts.append(y)
    return join_all([*parts, model.decode_flush(state)])
