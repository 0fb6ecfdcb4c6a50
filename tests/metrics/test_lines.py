"""Lines at a frame rate."""

import numpy as np
import pytest

from ncodec.metrics import line_share

RATE = 24000
NOISE = np.random.default_rng(0).standard_normal(4 * RATE)


def test_noise_has_its_share_of_the_bandwidth() -> None:
    assert line_share(NOISE, RATE) == pytest.approx(10 / 75, abs=0.02)
    assert line_share(NOISE, RATE, 50) == pytest.approx(10 / 50, abs=0.02)


def test_noise_that_repeats_with_the_frames_is_all_lines() -> None:
    frame = NOISE[:320]
    assert line_share(np.tile(frame, 300), RATE) > 0.95
    half = line_share(np.tile(frame, 300) + NOISE[: 300 * 320], RATE)
    assert 0.45 < half < 0.7
    assert line_share(np.tile(NOISE[:400], 240), RATE) < 0.4  # 60 Hz: every fifth line falls near


def test_silence_and_a_click_have_no_share() -> None:
    assert np.isnan(line_share(np.zeros(RATE), RATE))
    assert np.isnan(line_share(NOISE[:100], RATE))
