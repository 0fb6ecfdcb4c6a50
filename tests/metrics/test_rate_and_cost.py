"""Bitrates, codebook statistics, speed and memory."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ncodec import metrics
from ncodec.errors import ArgumentError, NcodecError


def test_real_bitrate_counts_every_byte() -> None:
    assert metrics.real_bitrate(7500, 10.0) == 6.0
    with pytest.raises(ArgumentError, match="must be positive"):
        metrics.real_bitrate(10, 0)


def test_even_codes_use_all_bits_and_constant_codes_none() -> None:
    even, constant, half = np.arange(1024), np.zeros(1024, int), np.arange(1024) % 512
    found = metrics.codebook_statistics(np.stack([even, constant, half]), (1024, 1024, 1024))
    assert found.usage == (1.0, 1 / 1024, 0.5)
    assert found.entropy == pytest.approx((10.0, 0.0, 9.0))
    assert found.efficiency == pytest.approx(19 / 30)


def test_batches_count_together_by_codebook() -> None:
    codes = np.stack([[[0, 1], [5, 5]], [[2, 3], [5, 5]]])  # [B, K, F]
    found = metrics.codebook_statistics(codes, (4, 8))
    assert found.entropy == pytest.approx((2.0, 0.0))


@pytest.mark.parametrize(
    ("codes", "sizes"),
    [(np.zeros((2, 3), int), (4,)), (np.zeros((1, 0), int), (4,)), (np.full((1, 3), 4), (4,))],
)
def test_wrong_codes_are_refused(codes: np.ndarray, sizes: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError):
        metrics.codebook_statistics(codes, sizes)


def test_real_time_is_sound_over_the_median_run() -> None:
    assert metrics.real_time(8.0, [2.0, 1.0, 40.0]) == 4.0
    for times in ([], [1.0, 0.0]):
        with pytest.raises(ArgumentError, match="must be at least one"):
            metrics.real_time(8.0, times)


def test_peak_memory_sees_the_command_and_not_this_process() -> None:
    small = metrics.peak_memory([sys.executable, "-c", "pass"])
    large = metrics.peak_memory([sys.executable, "-c", "x = b'1' * 200_000_000"])
    assert small < 60e6  # this test process holds torch: far more
    assert 195e6 < large - small < 230e6


def test_a_failing_command_is_an_error() -> None:
    with pytest.raises(NcodecError, match="failed"):
        metrics.peak_memory([sys.executable, "-c", "raise SystemExit(3)"])
