"""Which metrics a comparison takes, for which kinds of sound, and how they are read."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ncodec import metrics
from ncodec.metrics.signal import Signal

Function = Callable[[Signal, Signal, int], float]


@dataclass(frozen=True)
class Measure:
    """A metric of reference, decoded signal and sample rate.

    Attributes:
        key: its column in CSV and JSON.
        title: in tables and plots.
        unit: "" where it is a score.
        better: which way is good; "zero" is as near to 0 as possible.
        digits: after the point, in tables.
        function: of `ncodec.metrics`.
        speech_only: it rates speech and nothing else.
        modules: that the function needs, beyond what ncodec does.
        floor: plots end here: what is below tells nothing more, or cannot be.
        ceiling: nor can what is above.
        main: stands in tables before the others.
    """

    key: str
    title: str
    unit: str
    better: Literal["higher", "lower", "zero"]
    digits: int
    function: Function
    speech_only: bool = False
    modules: tuple[str, ...] = ()
    floor: float = -math.inf
    ceiling: float = math.inf
    main: bool = False

    @property
    def heading(self) -> str:
        """Title, with the unit and an arrow towards better."""
        arrow = {"higher": "\u2191", "lower": "\u2193", "zero": "\u2192 0"}[self.better]
        return f"{self.title}{f' ({self.unit})' if self.unit else ''} {arrow}"

    @property
    def missing(self) -> list[str]:
        """The modules that it needs and that are not installed."""
        return [name for name in self.modules if importlib.util.find_spec(name) is None]


def _si_sdr(reference: Signal, decoded: Signal, _sample_rate: int) -> float:
    """Energy of the fitted reference over that of the rest in dB (scale-invariant SDR)."""
    return metrics.si_sdr(reference, decoded)


def _lines(_reference: Signal, decoded: Signal, sample_rate: int) -> float:
    return metrics.line_share(decoded, sample_rate)


MEASURES: tuple[Measure, ...] = (
    Measure(
        "visqol_audio",
        "ViSQOL audio",
        "",
        "higher",
        2,
        metrics.visqol_audio,
        modules=("visqol",),
        floor=1,
        ceiling=5,
        main=True,
    ),
    Measure(
        "visqol_speech",
        "ViSQOL speech",
        "",
        "higher",
        2,
        metrics.visqol_speech,
        True,
        ("visqol", "ai_edge_litert"),
        floor=1,
        ceiling=5,
        main=True,
    ),
    Measure(
        "pesq_wb",
        "PESQ wideband",
        "",
        "higher",
        2,
        metrics.pesq_wb,
        True,
        ("pesq",),
        floor=1,
        ceiling=4.65,
        main=True,
    ),
    Measure(
        "stoi",
        "STOI",
        "",
        "higher",
        3,
        metrics.stoi,
        True,
        ("pystoi",),
        floor=0,
        ceiling=1,
        main=True,
    ),
    Measure("si_sdr", "SI-SDR", "dB", "higher", 1, _si_sdr, floor=-20),
    Measure(
        "log_mel",
        "Log-mel distance",
        "dB",
        "lower",
        2,
        metrics.log_mel_distance,
        floor=0,
        main=True,
    ),
    Measure(
        "multi_stft",
        "Multi-res. STFT",
        "",
        "lower",
        2,
        metrics.multi_resolution_stft_distance,
        floor=0,
    ),
    Measure("loudness", "Loudness difference", "LU", "zero", 1, metrics.loudness_difference),
    Measure("lines", "Energy in lines at 75 Hz", "", "lower", 2, _lines, floor=0, ceiling=1),
)


def leading(kind: str) -> str:
    """Return the key of the measure that stands for a kind of sound in one sentence."""
    return "pesq_wb" if kind == "speech" else "visqol_audio"


def measures_for(kind: str) -> tuple[Measure, ...]:
    """Return what is measured on a kind of sound: those for speech only where it may be speech."""
    return tuple(m for m in MEASURES if kind in ("speech", "other") or not m.speech_only)


_PACKAGES = {"visqol": "visqol-python", "ai_edge_litert": "'visqol-python[lattice]'"}
"""What to install for a module of another name; a hint that works wherever ncodec came from."""


def missing_measures() -> list[str]:
    """Return a line for each measure whose package is not installed."""
    return [
        f"{m.title}: {' and '.join(m.missing)} not installed: "
        f"pip install {' '.join(_PACKAGES.get(name, name) for name in m.missing)}"
        for m in MEASURES
        if m.missing
    ]


def measure(kind: str, reference: Signal, decoded: Signal, sample_rate: int) -> dict[str, float]:
    """Return every value that the kind and the installed packages allow; not-a-numbers left out."""
    found = {
        item.key: item.function(reference, decoded, sample_rate)
        for item in measures_for(kind)
        if not item.missing
    }
    return {key: value for key, value in found.items() if not math.isnan(value)}
