"""The recordings that a report lets people look at and listen to, cut to keep the page small."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncodec.bench.quality import Row
from ncodec.bench.sources import Source
from ncodec.bench.spectrogram import spectrogram
from ncodec.metrics.signal import channels_of, resample

BUDGET = 4_500_000
"""Bytes of FLAC in one report; base64 adds a third."""

LONGEST, SHORTEST = 8.0, 2.0
ANCHOR_HZ = 3500
"""The low anchor of ITU-R BS.1534-3: the reference through a low-pass of 3.5 kHz."""

Samples = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Version:
    """One way in which a clip sounds: `original`, `anchor`, or a codec at a rate."""

    role: str
    label: str
    codec: str
    setting: float | None
    samples: Samples


def build(rows: Sequence[Row], sources: Sequence[Source], folder: Path, per_kind: int) -> list[Any]:
    """Return the clips of a report as plain JSON types, sound and pictures in base64.

    Args:
        rows: of the comparison.
        sources: its recordings.
        folder: where the decoded sounds are kept.
        per_kind: how many recordings of each kind.
    """
    files = [row.file for row in rows]
    chosen = _choose([source for source in sources if source.name in files], per_kind)
    count = sum(2 + files.count(source.name) for source in chosen)
    return [_clip(source, rows, folder, BUDGET / max(count, 1)) for source in chosen]


def _choose(sources: Sequence[Source], per_kind: int) -> list[Source]:
    kinds = dict.fromkeys(source.kind for source in sources)
    return [s for kind in kinds for s in [x for x in sources if x.kind == kind][:per_kind]]


def _clip(source: Source, rows: Sequence[Row], folder: Path, budget: float) -> Any:
    import soundfile as sf

    samples, rate = source.read()
    reference = channels_of(samples)
    # FLAC takes about 1.1 bytes a sample of 16 bits.
    seconds = float(np.clip(budget / (rate * len(reference) * 1.1), SHORTEST, LONGEST))
    count = min(round(seconds * rate), reference.shape[1])
    versions = [
        Version("original", "Original", "", None, reference),
        Version("anchor", "3.5 kHz anchor", "", None, anchor(reference, rate)),
    ]
    for row in rows:
        if row.file == source.name:
            decoded, _ = sf.read(folder / row.decoded, always_2d=True)
            label = f"{row.title}, {row.kbps:.1f} kbps"
            versions.append(Version("codec", label, row.codec, row.setting, decoded.T))
    return {
        "name": source.name,
        "kind": source.kind,
        "seconds": count / rate,
        "versions": [_plain(version, count, rate) for version in versions],
    }


def anchor(reference: Samples, rate: int) -> Samples:
    """Return `[C, T]` without what is above 3.5 kHz."""
    if rate <= 2 * ANCHOR_HZ:
        return reference
    low = resample(resample(channels_of(reference), rate, 2 * ANCHOR_HZ), 2 * ANCHOR_HZ, rate)
    low = low[:, : reference.shape[1]]
    return np.pad(low, ((0, 0), (0, reference.shape[1] - low.shape[1])))


def _plain(version: Version, count: int, rate: int) -> dict[str, Any]:
    import soundfile as sf

    part = np.clip(version.samples[:, :count], -1, 1)
    flac = io.BytesIO()
    sf.write(flac, part.T, rate, subtype="PCM_16", format="FLAC", compression_level=1.0)
    return {
        "role": version.role,
        "label": version.label,
        "codec": version.codec,
        "setting": version.setting,
        "sound": base64.b64encode(flac.getvalue()).decode(),
        "picture": base64.b64encode(spectrogram(part, rate)).decode(),
    }
