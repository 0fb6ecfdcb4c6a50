"""Scale-invariant signal-to-distortion ratio."""

from __future__ import annotations

import numpy as np

from ncodec.metrics.signal import Signal, pair


def si_sdr(reference: Signal, decoded: Signal) -> float:
    """SI-SDR in dB (Le Roux et al., "SDR - half-baked or well done?", 2019): higher is better.

    10 log10(|target|^2 / |decoded - target|^2), the target being the reference scaled to fit the
    decoded signal best. Each channel's mean is taken out first; channels are averaged. From -inf
    (nothing of the reference is left) to inf (the same signal at any gain); NaN for a reference
    that is silent.

    Raises:
        ArgumentError: the signals differ in shape or hold no sample.
    """
    a, b = (x - x.mean(axis=1, keepdims=True) for x in pair(reference, decoded))
    energy = np.sum(a**2, axis=1)
    if not energy.all():
        return float("nan")
    target = (np.sum(a * b, axis=1) / energy)[:, None] * a
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sum(target**2, axis=1) / np.sum((b - target) ** 2, axis=1)
        ratio[~b.any(axis=1)] = 0.0  # silence holds nothing of the reference
        return float(np.mean(10 * np.log10(ratio)))
