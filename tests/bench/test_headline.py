"""One sentence a kind: differences in pairs, honesty about few recordings, equal quality."""

from __future__ import annotations

import pytest

from ncodec.bench.headline import headlines, rate_for_equal_quality
from ncodec.bench.quality import Row
from ncodec.bench.summary import points

KEY = "pesq_wb"


def rows(count: int, gain: float = 0.3, scatter: float = 1.0) -> list[Row]:
    """Two codecs at two rates; the recordings differ by far more than the codecs do."""
    made = []
    for i in range(count):
        for codec, more in (("mine", gain), ("opus", 0.0)):
            for setting in (6.0, 12.0):
                value = 2 + scatter * (i % 3) / 3 + more + (setting - 6) / 6 + 0.01 * (i % 2) * more
                values = {KEY: value, "stoi": 0.9}
                made.append(
                    Row(f"r{i}", "speech", codec, codec, setting, setting, 1.0, values, "", "")
                )
    return made


def test_few_recordings_are_said_to_be_few() -> None:
    (line,) = headlines(rows(2))
    assert line.startswith("Speech at 6 kbps: PESQ wideband ")
    assert "2 recordings: too few to tell codecs apart" in line
    assert "±" not in line


def test_one_codec_is_not_told_from_others() -> None:
    (line,) = headlines([row for row in rows(2) if row.codec == "mine"])
    assert line.endswith("2 recordings: too few for an interval.")


def test_differences_are_taken_recording_by_recording() -> None:
    (line,) = headlines(rows(9))
    assert "[difference +0.30 ± 0.00]" in line  # though the recordings scatter by a point
    (line,) = headlines(rows(9, gain=0.0))
    assert "+0.00 ± 0.00, not told apart" in line


def test_equal_quality_is_where_the_curves_meet() -> None:
    found = points(rows(6, gain=0.5, scatter=0.0))
    mine, other = ([p for p in found if p.codec == codec] for codec in ("mine", "opus"))
    # Half a point better all along, and a point is an octave: half an octave less.
    assert rate_for_equal_quality(mine, other, KEY) == pytest.approx(2**-0.5, rel=0.01)
    far = points(rows(6, gain=5.0, scatter=0.0))
    apart = ([p for p in far if p.codec == codec] for codec in ("mine", "opus"))
    assert rate_for_equal_quality(*apart, KEY) is None
