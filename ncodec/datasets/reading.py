"""Reading any part of a recording, at any rate and number of channels."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np
import soxr

from ncodec.audio import Samples, check_finite, mix_channels, open_audio, read_frames
from ncodec.datasets.catalogue import Clip
from ncodec.errors import ArgumentError, BadFileError

_LOUDEST = 1e6  # files of floats that go beyond +120 dB full scale are damaged


def read(
    clip: Clip,
    *,
    start: float = 0.0,
    seconds: float | None = None,
    rate: int | None = None,
    channels: int | None = None,
) -> Samples:
    """Return float32 `[C, T]` of a clip from `start` seconds on, `seconds` long or to its end.

    It comes at `rate` Hz in `channels` channels; None leaves either as in the file.

    Raises:
        BadFileError: It cannot be read, or is not what it was when it was found.
        ArgumentError: Its samples are no audio.
        OSError: It cannot be opened.
    """
    count = None if seconds is None else int(seconds * clip.rate)
    x, _ = read_samples(clip, round(start * clip.rate), count)
    x = resample(x, clip.rate, rate or clip.rate)
    return x if channels is None else mix_channels(x, channels)


def read_samples(clip: Clip, start: int = 0, count: int | None = None) -> tuple[Samples, bool]:
    """Return samples `[C, T]` as the file has them, and whether they are stored as floats.

    There are fewer than `count` at the end of the file.

    Raises:
        BadFileError: It cannot be read, or is not what it was when it was found.
        ArgumentError: Its samples are no audio: not finite, or far beyond full scale.
        OSError: It cannot be opened.
    """
    with closing(open_audio(clip.path, with_tags=False)) as reader:
        if (reader.sample_rate, reader.channels) != (clip.rate, clip.channels):
            raise BadFileError(f"{clip.path}: the file changed since it was found")
        reader.skip(start)
        x = read_frames(reader, count)
    check_samples(x, start, clip.rate)
    return x, reader.floats


def resample(x: Samples, old: float, new: float) -> Samples:
    """Return `[C, T]` at another rate."""
    return x if old == new else cast(Samples, soxr.resample(x.T, old, new)).T


def check_whole(path: Path) -> None:
    """Read a file to its end: see that all its samples are audio.

    Raises:
        ArgumentError: They are not; the message says where.
        BadFileError: It cannot be read.
        OSError: It cannot be opened.
    """
    with closing(open_audio(path, with_tags=False)) as reader:
        done = 0
        while (block := reader.read(1 << 16)).shape[1]:
            check_samples(block, done, reader.sample_rate)
            done += block.shape[1]


def check_samples(x: Samples, offset: int, rate: int) -> None:
    """Refuse samples `[C, T]` that are no finite numbers, or far beyond full scale.

    Raises:
        ArgumentError: The first such sample, its place and the rule.
    """
    check_finite(x, offset, rate, "audio")
    peak = float(np.abs(x).max(initial=0))
    if peak > _LOUDEST:
        raise ArgumentError(f"samples of up to {peak:.3g}: must be within ±{_LOUDEST:g}")
