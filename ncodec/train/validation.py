"""What a run reports on audio that it never trains on: metrics by bandwidth, codebooks' use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ncodec import metrics
from ncodec.datasets import Clip, read
from ncodec.models.base import CompressionModel
from ncodec.train.task import Validation

_SECONDS = 10.0  # of each clip, at most

Metric = Callable[[Any, Any, int], float]
DISTANCES: Mapping[str, Metric] = {
    "mel": metrics.log_mel_distance,
    "si_sdr": lambda x, y, _: metrics.si_sdr(x, y),
}
SPEECH: Mapping[str, Metric] = {
    "pesq": metrics.pesq_wb,
    "stoi": metrics.stoi,
    "visqol": metrics.visqol_speech,
}
OTHER: Mapping[str, Metric] = {"visqol": metrics.visqol_audio}


def measures_of(clip: Clip, *, perceptual: bool) -> Mapping[str, Metric]:
    """Return what a clip's sound is measured by, as its kind wants it."""
    if not perceptual:
        return DISTANCES
    return {**DISTANCES, **(SPEECH if clip.kind == "speech" else OTHER)}


@torch.no_grad()
def validate(
    model: CompressionModel,
    clips: Sequence[Clip],
    kbps: Sequence[float],
    *,
    perceptual: bool,
    keep: int,
) -> Validation:
    """Code the clips at each bandwidth; clips whose kind is `speech` are measured as speech.

    Scores are means over clips; the first `keep` clips are kept as audio, at the middle bandwidth.
    """
    device = next(model.parameters()).device
    scores: dict[str, list[float]] = defaultdict(list)
    codes: list[NDArray[np.int64]] = []
    audible: dict[str, NDArray[np.float32]] = {}
    layer = model.bandwidths[-1] / model.total_codebooks
    for number, clip in enumerate(clips):
        audio = read(clip, seconds=_SECONDS, rate=model.sample_rate, channels=model.channels)
        all_codes, scale = model.encode(torch.from_numpy(audio[None]).to(device))
        codes.append(all_codes[0].cpu().numpy())
        table = measures_of(clip, perceptual=perceptual)
        for i, bandwidth in enumerate(kbps):
            count = min(model.total_codebooks, max(1, int(bandwidth / layer + 1e-6)))
            y = model.decode(all_codes[:, :count], scale)[0, :, : audio.shape[1]].cpu().numpy()
            for name, metric in table.items():
                where = f"{bandwidth:g}kbps/{clip.kind or 'all'}/{name}"
                scores[where].append(metric(audio, y, model.sample_rate))
            if number < keep and i == len(kbps) // 2:
                audible |= {f"decoded/{number}": y, f"original/{number}": audio}
    means = {name: float(np.nanmean(values)) for name, values in scores.items()}
    statistics = metrics.codebook_statistics(np.concatenate(codes, axis=1), model.codebook_sizes)
    means["codebooks/efficiency"] = statistics.efficiency
    details: dict[str, float] = {}
    for k, (usage, entropy) in enumerate(zip(statistics.usage, statistics.entropy, strict=True)):
        details[f"codebooks/usage_{k + 1:02d}"] = usage
        details[f"codebooks/entropy_{k + 1:02d}"] = entropy
    return Validation(means, model.sample_rate, details, audible)
