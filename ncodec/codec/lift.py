"""Quiet recordings are coded louder, and the file's gain gives them their level back.

A codec learns from sound at ordinary levels and spends no more care on the same sound at -45 dBFS
than on the hiss that it usually hears there.
"""

from __future__ import annotations

import math
import os
from contextlib import closing
from typing import Any, cast

import numpy as np

from ncodec.audio import AudioReader, RawFormat, Samples, open_audio
from ncodec.files import ReadableFile, open_readable
from ncodec.models.checks import as_samples

_LEVEL_DB = -22.0  # RMS where sound is: what `ncodec_24khz` does best at, by PESQ
_PEAK = 0.7
_LEAST_DB = 6  # less is not worth a gain in the header
_MOST_DB = 40  # below -62 dBFS there is noise
_BLOCK_SECONDS = 0.1
_READ_BLOCKS = 10
_SILENCE = 1e-8  # mean square: -80 dBFS
_GATE = 0.01  # 20 dB below the mean of what is no silence


def lift_db(
    source: ReadableFile | AudioReader,
    *,
    raw: RawFormat | None,
    allow_truncated: bool,
    name: str | None,
) -> int:
    """Return by how many whole dB a source is to be coded louder; 0 for one that is not quiet.

    The source is read up to where it is loud, and set back to where it was; a pipe, and a reader
    that has no `again`, are left alone.
    """
    if hasattr(source, "sample_rate"):
        again = getattr(source, "again", None)
        return 0 if again is None else measured_lift_db(again())
    if isinstance(source, (str, os.PathLike)):
        if not os.path.isfile(source):
            return 0
        at = None
    elif not (source := open_readable(cast(ReadableFile, source))).seekable():
        return 0
    else:
        at = source.tell()
    try:
        with closing(
            open_audio(cast(Any, source), raw=raw, allow_truncated=allow_truncated, name=name)
        ) as reader:
            return measured_lift_db(reader)
    finally:
        if at is not None:
            cast(Any, source).seek(at)


def measured_lift_db(reader: AudioReader) -> int:
    """Read to the end, or to a sample that rules a lift out."""
    block = max(1, round(_BLOCK_SECONDS * reader.sample_rate))
    powers: list[float] = []
    peak = 0.0
    while (samples := _floats(reader.read(block * _READ_BLOCKS))).shape[1]:
        peak = max(peak, float(np.abs(samples).max()))
        if not peak <= _PEAK / 10 ** (_LEAST_DB / 20):  # nor where it is no number
            return 0
        for first in range(0, samples.shape[1], block):
            part = samples[:, first : first + block].astype(np.float64)
            powers.append(float(np.mean(part * part)))
    sounding = np.array([power for power in powers if power > _SILENCE])
    if not len(sounding):
        return 0
    level = 10 * math.log10(float(sounding[sounding >= _GATE * sounding.mean()].mean()))
    lift = math.floor(min(_LEVEL_DB - level, 20 * math.log10(_PEAK / peak), _MOST_DB))
    return lift if lift >= _LEAST_DB else 0


class Lifted:
    """An `AudioReader` whose samples are so many dB louder."""

    def __init__(self, reader: AudioReader, db: float) -> None:
        self._reader, self._gain = reader, np.float32(10 ** (db / 20))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def read(self, frames: int) -> Samples:
        """Return the next samples `[C, T]`."""
        return _floats(self._reader.read(frames)) * self._gain


def _floats(samples: np.ndarray) -> Samples:
    """Return samples as float32 of full scale 1: readers of arrays give what they were given."""
    return samples if samples.dtype == np.float32 else as_samples(np.array(samples)).numpy()
