"""Meters of the live line: levels as peak meters have them, factors, clocks of devices."""

import numpy as np
import pytest

from ncodec.live.meters import FLOOR_DB, Durations, LevelMeter, StreamClock

RATE = 8000


def sound(peak: float, seconds: float) -> np.ndarray:
    x = np.zeros((2, round(seconds * RATE)), np.float32)
    x[1, :1] = -peak
    return x


def test_a_level_rises_at_once_and_falls_by_20_db_a_second() -> None:
    meter = LevelMeter(RATE)
    assert meter.db == FLOOR_DB
    meter.push(sound(1.0, 0.01))
    assert meter.db == pytest.approx(0, abs=1e-6)
    for _ in range(10):  # however the second is cut
        meter.push(sound(0.0, 0.1))
    assert meter.db == pytest.approx(-20)
    meter.push(sound(0.5, 0.1))
    assert meter.db == pytest.approx(-6.02, abs=0.01)
    meter.push(sound(0.0, 60))
    assert meter.db == FLOOR_DB
    meter.push(np.zeros((2, 0), np.float32))
    assert meter.db == FLOOR_DB


def test_durations_are_of_the_last_pieces() -> None:
    factors = Durations(4)
    assert factors.mean == factors.quantile(0.5) == 0
    for took in (9.0, 1.0, 2.0, 3.0, 4.0):
        factors.add(took, 2.0)
    assert factors.mean == pytest.approx(1.25)
    assert factors.quantile(1.0) == 2.0


def test_a_clock_sees_through_stamps_that_scatter() -> None:
    clock, rng = StreamClock(), np.random.default_rng(0)
    assert clock.origin is None
    for number in range(1000):
        position = number * 0.01
        clock.update(position, 5 + position + rng.normal(0, 0.003))
    assert clock.origin == pytest.approx(5, abs=0.001)
    for number in range(1000, 3000):  # the device slipped by a tenth of a second
        clock.update(number * 0.01, 5.1 + number * 0.01)
    assert clock.origin == pytest.approx(5.1, abs=0.001)
