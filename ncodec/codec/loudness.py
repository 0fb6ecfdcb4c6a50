"""Loudness of a signal that comes piece by piece, and of what a file of codes decodes to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ncodec.audio import Samples
from ncodec.codec.decoder import StreamDecoder
from ncodec.containers.content import Content, with_model
from ncodec.dsp.loudness import block_powers, gated_level
from ncodec_formats import Header


class Meter:
    """Integrated loudness (ITU-R BS.1770-4); memory is a number for each 100 ms.

    The filters start anew every 30 s, a second earlier, which is far longer than they ring.
    """

    def __init__(self, sample_rate: int) -> None:
        """Begin with nothing."""
        self._rate = sample_rate
        self._waiting: list[Samples] = []
        self._held = 0
        self._powers: list[np.ndarray] = []
        self._before: Samples | None = None

    def push(self, samples: Samples) -> None:
        """Take the next samples `[C, T]`."""
        self._waiting.append(samples)
        self._held += samples.shape[1]
        while self._held >= 30 * self._rate:
            self._measure(30 * self._rate)

    def level(self) -> float:
        """End the signal: return its loudness in LUFS, -inf for silence."""
        if self._held:
            self._measure(self._held)
        return gated_level(np.concatenate(self._powers)) if self._powers else float("-inf")

    def _measure(self, samples: int) -> None:
        joined = np.concatenate(self._waiting, axis=1)
        part, rest = joined[:, :samples], joined[:, samples:]
        run_in = 0
        if self._before is not None:
            run_in = self._before.shape[1]
            part = np.concatenate([self._before, part], axis=1)
        self._powers.append(block_powers(part, self._rate, skip=run_in))
        self._before = part[:, -self._rate :]
        self._waiting, self._held = [rest], rest.shape[1]


def measured_level(content: Content, model: Any) -> float:
    """Decode the codes and return their loudness in LUFS, without the header's gain."""
    header = replace(with_model(content.header, model), gain_db=0.0)
    decoder = StreamDecoder(model, header, sample_rate=header.sample_rate)
    meter = Meter(header.sample_rate)
    for packet in content.again():
        meter.push(decoder.push(packet))
    meter.push(decoder.finish(content.source_samples))
    return meter.level()


def at_own_level(content: Content, model: Any) -> Header:
    """Return the header with the gain that gives what is decoded the loudness a file asks for.

    Only `.dac` files do.
    """
    header = with_model(content.header, model)
    levels = content.notes.get("input_db")
    if not isinstance(levels, list):
        return header
    level = measured_level(content, model)
    gain = float(np.mean(levels)) - level if np.isfinite(level) else 0.0
    return replace(header, gain_db=gain)
