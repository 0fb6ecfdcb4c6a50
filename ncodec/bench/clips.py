"""The recordings that a report lets people look at and listen to, cut to keep the page small."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncodec.bench.headline import TYPICAL_KBPS
from ncodec.bench.measures import leading
from ncodec.bench.quality import Row
from ncodec.bench.sources import Source
from ncodec.bench.spectrogram import difference, spectrogram
from ncodec.dsp.mel import hz_to_mel
from ncodec.metrics.signal import channels_of, resample

BUDGET = 9_000_000
"""Bytes of FLAC in one report; base64 adds a third."""

LONGEST, SHORTEST = 8.0, 3.0
FADE = 0.02
"""Seconds of a clip's ends that fade, so that a cut in the middle of a sound is no click."""

ANCHORS = {"low": 3500, "mid": 7000}
"""The anchors of ITU-R BS.1534-3, section 5.1: the reference through low-passes, in Hz."""

TICKS_HZ = (1000, 2000, 4000, 8000, 12000, 16000)

Samples = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Version:
    """A way in which a clip sounds: `original`, an anchor (`low`, `mid`), a codec at a rate."""

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
        per_kind: how many recordings of each kind: the median one by the measure that stands for
            the kind, the worst, the liveliest, then as they come.
    """
    files = [row.file for row in rows]
    chosen = _choose([source for source in sources if source.name in files], rows, per_kind)
    count = sum(3 + files.count(source.name) for source, _ in chosen)
    return [_clip(source, why, rows, folder, BUDGET / max(count, 1)) for source, why in chosen]


def _choose(
    sources: Sequence[Source], rows: Sequence[Row], per_kind: int
) -> list[tuple[Source, str]]:
    chosen = list[tuple[Source, str]]()
    for kind in dict.fromkeys(source.kind for source in sources):
        chosen += _of_kind([s for s in sources if s.kind == kind], rows, per_kind)
    return chosen


def _of_kind(here: Sequence[Source], rows: Sequence[Row], count: int) -> list[tuple[Source, str]]:
    """Choose by the first codec's files nearest to the typical rate; silent ones come last."""
    first = [row for row in rows if row.kind == here[0].kind and row.codec == rows[0].codec]
    setting = min(
        (row.setting for row in first), key=lambda s: abs(np.log(s / TYPICAL_KBPS)), default=0.0
    )
    key = leading(here[0].kind)
    scores = {r.file: r.values[key] for r in first if r.setting == setting and key in r.values}
    ranked = sorted((s for s in here if s.name in scores), key=lambda s: scores[s.name])
    order: list[tuple[Source, str]] = []
    if ranked and len(here) > 1:
        order = [(ranked[(len(ranked) - 1) // 2], "median"), (ranked[0], "worst")]
        order.append((max(here, key=_liveliness), "liveliest"))
    order += [(source, "") for source in here]
    return list({source.name: (source, why) for source, why in reversed(order)}.values())[::-1][
        :count
    ]


def _liveliness(source: Source) -> float:
    """How much the level changes from one 50 ms to the next, in dB."""
    samples, rate = source.read()
    size = max(1, rate // 20)
    mono = samples.mean(axis=0)[: samples.shape[1] // size * size].reshape(-1, size)
    level = 10 * np.log10(np.mean(mono**2, axis=1) + 1e-6)
    return float(np.abs(np.diff(level)).mean()) if len(level) > 1 else 0.0


def _clip(source: Source, why: str, rows: Sequence[Row], folder: Path, budget: float) -> Any:
    import soundfile as sf

    samples, rate = source.read()
    reference = channels_of(samples)
    # FLAC takes about 1.1 bytes a sample of 16 bits.
    seconds = float(np.clip(budget / (rate * len(reference) * 1.1), SHORTEST, LONGEST))
    count = min(round(seconds * rate), reference.shape[1])
    begin = liveliest_part(reference, count)
    versions = [Version("original", "Original", "", None, reference)]
    versions += [
        Version(role, f"{hz / 1000:g} kHz anchor", "", None, anchor(reference, rate, hz))
        for role, hz in ANCHORS.items()
    ]
    for row in rows:
        if row.file == source.name:
            decoded, _ = sf.read(folder / row.decoded, always_2d=True)
            label = f"{row.codec}, {row.kbps:.1f} kbps"
            versions.append(Version("codec", label, row.codec, row.setting, decoded.T))
    cut = [_part(version.samples, begin, count, rate) for version in versions]
    return {
        "name": source.name,
        "kind": source.kind,
        "why": why,
        "from": begin / rate,
        "seconds": count / rate,
        "ticks": [
            [hz, float(hz_to_mel(hz) / hz_to_mel(rate / 2))] for hz in TICKS_HZ if hz < rate / 2
        ],
        "versions": [
            _plain(version, part, cut[0], rate) for version, part in zip(versions, cut, strict=True)
        ],
    }


def liveliest_part(samples: Samples, count: int) -> int:
    """Return where the `count` samples begin that hold most energy, each 50th of them tried."""
    total = samples.shape[1]
    if count >= total:
        return 0
    # Not plain energy: one bang would win over ten words.
    power = np.concatenate([[0.0], np.cumsum(np.mean(samples**2, axis=0) ** 0.25)])
    starts = np.arange(0, total - count + 1, max(1, count // 50))
    return int(starts[np.argmax(power[starts + count] - power[starts])])


def _part(samples: Samples, begin: int, count: int, rate: int) -> Samples:
    part = np.array(samples[:, begin : begin + count], dtype=np.float64)
    size = min(round(FADE * rate), part.shape[1] // 2)
    if size:
        ramp = np.sin(np.linspace(0, np.pi / 2, size)) ** 2
        part[:, :size] *= ramp
        part[:, -size:] *= ramp[::-1]
    return np.clip(part, -1, 1)


def anchor(reference: Samples, rate: int, cut_hz: int = 3500) -> Samples:
    """Return `[C, T]` without what is above `cut_hz`."""
    if rate <= 2 * cut_hz:
        return reference
    low = resample(resample(channels_of(reference), rate, 2 * cut_hz), 2 * cut_hz, rate)
    low = low[:, : reference.shape[1]]
    return np.pad(low, ((0, 0), (0, reference.shape[1] - low.shape[1])))


def _plain(version: Version, part: Samples, reference: Samples, rate: int) -> dict[str, Any]:
    import soundfile as sf

    flac = io.BytesIO()
    sf.write(flac, part.T, rate, subtype="PCM_16", format="FLAC", compression_level=1.0)
    sound = flac.getvalue()
    compared = "" if version.role == "original" else _base64(difference(part, reference, rate))
    return {
        "role": version.role,
        "label": version.label,
        "codec": version.codec,
        "setting": version.setting,
        "hash": hashlib.sha256(sound).hexdigest()[:16],
        "sound": _base64(sound),
        "picture": _base64(spectrogram(part, rate)),
        "difference": compared,
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
