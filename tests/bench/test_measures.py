"""Which metrics are taken: by kind of sound, and by what is installed."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from ncodec.bench import measures

TONE = np.sin(np.arange(24000) / 7)


def test_speech_metrics_rate_speech_only() -> None:
    speech, music = ({m.key for m in measures.measures_for(kind)} for kind in ("speech", "music"))
    assert speech - music == {"pesq_wb", "stoi", "visqol_speech"}
    assert measures.measures_for("other") == measures.measures_for("speech")


def test_what_is_not_installed_is_told_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    absent = {"visqol", "pesq"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in absent else real(name)
    )
    told = measures.missing_measures()
    assert [line.split(":")[0] for line in told] == [
        *("ViSQOL audio", "ViSQOL speech", "PESQ wideband"),
    ]
    assert all("not installed: pip install " in line for line in told)
    values = measures.measure("music", TONE, 0.5 * TONE, 24000)
    assert set(values) == {"si_sdr", "log_mel", "multi_stft", "loudness", "lines"}
    assert values["loudness"] == pytest.approx(-6.02, abs=0.01)


def test_what_cannot_be_rated_is_left_out() -> None:
    silence = np.zeros(24000)
    assert set(measures.measure("speech", silence, silence, 24000)) == {"log_mel", "loudness"}
