"""SpectralCodec's start from data: principal components for its linear path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from ncodec.models.spectral import SpectralCodec

_SKIPPED = 3
"""Frames at a segment's start that see its zeros."""


@torch.no_grad()
def start_linear_path(model: SpectralCodec, audio: Iterable[Tensor]) -> None:
    """Make the linear path a codec: principal components of band envelope and MDCT, and back.

    Either half of the latent gets a total variance of one. On the way back the envelope spreads
    over the bins that each band covers, 2.8 nepers lower below 1 kHz: there the MDCT carries the
    signal.
    """
    envelopes: list[Tensor] = []
    waveforms: list[Tensor] = []
    for batch in audio:
        history = F.pad(batch[:, 0], (3 * model.hop, 0))
        _, bands, mdct = model.features(history.unfold(-1, 4 * model.hop, model.hop))
        envelopes.append(bands[:, _SKIPPED:].flatten(0, 1))
        waveforms.append(mdct[:, _SKIPPED:].flatten(0, 1))
    mean, envelope = _components(torch.cat(envelopes), model.config.envelope)
    waveform = _components(torch.cat(waveforms), model.config.latent - model.config.envelope)[1]
    split, bands_count = model.config.envelope, model.config.bands
    spread = (model.bands / model.bands.sum(0, keepdim=True)).T
    bins = len(spread)
    for parameter in (*model.analysis.parameters(), *model.synthesis.parameters()):
        parameter.zero_()
    model.analysis.weight[:split, :bands_count] = envelope.T
    model.analysis.bias[:split] = -mean @ envelope
    model.analysis.weight[split:, bands_count:] = waveform.T
    model.synthesis.weight[:bins, :split] = spread @ envelope / envelope.square().sum(0)
    frequency = torch.linspace(0, model.sample_rate / 2, bins, device=mean.device)
    carried = ((5000 - frequency) / 4000).clamp(0, 1)
    model.synthesis.bias[:bins] = spread @ mean - 0.3 - 2.5 * carried
    model.synthesis.weight[bins:, split:] = waveform / waveform.square().sum(0)


def _components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean `[D]` and principal directions `[D, count]`, scaled to a total variance of one."""
    mean = rows.mean(0)
    centred = rows - mean
    directions, variances, _ = torch.linalg.svd(centred.T @ centred / len(rows))
    return mean, directions[:, :count] / variances[:count].sum().sqrt()
