"""Peers behind command-line tools: rates, quality, and what is said when one is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import soundfile as sf

from ncodec import metrics
from ncodec.bench.codecs import nearest
from ncodec.bench.found import find
from ncodec.bench.tools import TOOLS, Tool
from ncodec.errors import ArgumentError, NcodecError
from tests.machine import require

DATA = Path(__file__).parent.parent / "data"
SPEECH, RATE = sf.read(DATA / "speech.flac")
SECONDS = len(SPEECH) / RATE


def installed(name: str) -> Tool:
    require(*TOOLS[name].programs)
    return TOOLS[name]


@pytest.mark.parametrize(
    ("name", "setting", "lowest", "highest", "least_stoi"),
    [
        ("opus", 12.0, 10, 15, 0.95),
        ("mp3", 16.0, 15, 18, 0.9),
        ("aac", 24.0, 20, 30, 0.95),
        ("codec2", 3.2, 3.1, 3.3, 0.7),
        ("speex", 12.8, 12, 15, 0.9),
    ],
)
def test_a_peer_gives_its_rate_and_intelligible_speech(
    name: str, setting: float, lowest: float, highest: float, least_stoi: float, tmp_path: Path
) -> None:
    coded = installed(name).run(SPEECH, RATE, setting, tmp_path)
    assert lowest < metrics.real_bitrate(coded.file.stat().st_size, SECONDS) < highest
    decoded = metrics.signal.resample(coded.samples, coded.sample_rate, RATE)
    aligned = metrics.align(SPEECH, decoded, RATE)
    assert metrics.stoi(SPEECH, aligned[0], RATE) > least_stoi


def test_opus_is_within_reason_of_published_figures(tmp_path: Path) -> None:
    # Eight 48 kHz clips with libopus 1.3.1 at 12 kbps: PESQ 3.85, STOI 0.981, ViSQOL speech 4.16.
    coded = installed("opus").run(SPEECH, RATE, 12, tmp_path)
    decoded = metrics.align(SPEECH, coded.samples, RATE)[0]
    assert metrics.pesq_wb(SPEECH, decoded, RATE) == pytest.approx(3.85, abs=0.5)
    assert metrics.stoi(SPEECH, decoded, RATE) == pytest.approx(0.981, abs=0.025)
    assert metrics.visqol_speech(SPEECH, decoded, RATE) == pytest.approx(4.16, abs=0.3)


@pytest.mark.parametrize(
    ("name", "asked", "setting"),
    [
        ("opus", 6, 6),
        ("opus", 9.5, 9.5),
        ("opus", 1.5, None),
        ("mp3", 12, 16),
        ("mp3", 3, None),
        ("codec2", 1.5, 1.6),
        ("codec2", 12, None),
        ("speex", 6, 5.75),
        ("speex", 3, 3.95),
    ],
)
def test_the_rate_that_serves(name: str, asked: float, setting: float | None) -> None:
    assert TOOLS[name].setting(asked) == setting


def test_nearest_is_by_ratio() -> None:
    assert nearest((8, 16), 12) == 16
    assert nearest((8, 16), 4) is None


def test_a_missing_tool_is_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda p: None if p == "opusdec" else f"/bin/{p}")
    found = find(["opus", "aac"])
    assert found.left_out[0] == "opus: opusdec not installed"
    assert "opus" not in [codec.name for codec in found.codecs]


def test_an_unknown_codec_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ArgumentError, match=r"'opsu'.*opus, mp3, aac"):
        find(["opsu"])


def test_a_failing_tool_says_why(tmp_path: Path) -> None:
    tool = installed("opus")
    with pytest.raises(NcodecError, match="opusenc failed"):
        tool.run(SPEECH, RATE, 9999, tmp_path)
