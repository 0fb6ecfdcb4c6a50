"""Perceptual measures of others, through the extra `metrics`: PESQ, STOI and ViSQOL.

Each wraps the field's usual implementation and resamples to the rate that it is defined at.
Signals of several channels are measured channel by channel and averaged.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError
from ncodec.metrics.signal import Signal, pair, resample


class MissingExtraError(ArgumentError):
    """A metric needs a package that the extra `metrics` installs."""


def _require(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{package} is not installed: pip install '{package}'") from error


def pesq_wb(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    """Wideband PESQ (ITU-T P.862.2) of speech, as MOS-LQO: 1.04 (bad) to 4.64 (identical).

    Measured at 16 kHz by the package `pesq`. NaN where PESQ finds no utterance (silence, or under
    0.25 s).

    Raises:
        MissingExtraError: the package is not installed.
        ArgumentError: the signals differ in shape or hold no sample.
    """
    module = _require("pesq", "pesq")
    a, b = _at(16000, reference, decoded, sample_rate)
    try:
        return _mean(
            module.pesq(16000, x.astype(np.float32), y.astype(np.float32), "wb")
            if _audible(x, 4000) and _audible(y, 4000)
            else np.nan
            for x, y in zip(a, b, strict=True)
        )
    except module.NoUtterancesError:
        return float("nan")


def stoi(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    """Short-time objective intelligibility of speech (Taal et al. 2011): about 0 to 1 (identical).

    Computed by the package `pystoi`, which resamples to 10 kHz. NaN where fewer than 30 frames of
    the reference are within 40 dB of its loudest one: STOI needs them for one 384 ms segment.

    Raises:
        MissingExtraError: the package is not installed.
        ArgumentError: the signals differ in shape or hold no sample.
    """
    import warnings

    module = _require("pystoi", "pystoi")
    a, b = pair(reference, decoded)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames")
        try:
            return _mean(
                module.stoi(x, y, sample_rate) if _audible(x, sample_rate // 2) else np.nan
                for x, y in zip(a, b, strict=True)
            )
        except RuntimeWarning:
            return float("nan")


def visqol_speech(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    """ViSQOL v3 in speech mode (Chinen et al. 2020), with its lattice model, as MOS-LQO: 1 to 5.

    Measured at 16 kHz by the package `visqol-python`; identical signals reach about 4.5 (what is
    above 8 kHz does not count). NaN for silence and for less than 0.5 s.

    Raises:
        MissingExtraError: `visqol-python[lattice]` is not installed.
        ArgumentError: the signals differ in shape or hold no sample.
    """
    return _visqol("speech", 16000, reference, decoded, sample_rate)


def visqol_audio(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    """ViSQOL v3 in audio mode (Chinen et al. 2020), support vector model, as MOS-LQO: 1 to 4.75.

    Measured at 48 kHz by the package `visqol-python`; identical signals reach about 4.73. NaN for
    silence and for less than 0.5 s.

    Raises:
        MissingExtraError: `visqol-python` is not installed.
        ArgumentError: the signals differ in shape or hold no sample.
    """
    return _visqol("audio", 48000, reference, decoded, sample_rate)


def _visqol(mode: str, rate: int, reference: Signal, decoded: Signal, sample_rate: int) -> float:
    api = _visqol_api(mode)
    a, b = _at(rate, reference, decoded, sample_rate)
    return _mean(
        api.measure_from_arrays(x, y, rate).moslqo
        if _audible(x, rate // 2) and _audible(y, rate // 2)
        else np.nan
        for x, y in zip(a, b, strict=True)
    )


@functools.cache
def _visqol_api(mode: str) -> Any:
    module = _require("visqol", "visqol-python")
    if mode == "speech":  # without the lattice, speech mode overrates by more than a point
        _require("ai_edge_litert", "visqol-python[lattice]")
    api = module.VisqolApi()
    api.create(mode=mode)
    return api


def _at(
    rate: int, reference: Signal, decoded: Signal, sample_rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = pair(reference, decoded)
    return resample(a, sample_rate, rate), resample(b, sample_rate, rate)


def _audible(x: NDArray[np.float64], shortest: int) -> bool:
    """Tell whether there are enough samples, and any above the least step of 16 bits."""
    return len(x) >= shortest and bool(np.abs(x).max() > 2**-16)


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
