"""The simulated line is as bad as it was asked to be, and the same in every run."""

import numpy as np
import pytest

from ncodec.errors import ArgumentError
from ncodec.net.bad_line import BadLine, Conditions


def carried(count=5000, direction="out", **conditions):
    line = BadLine(Conditions(**conditions), direction)
    return [line.carry(0.02 * i, 50) for i in range(count)]


def runs(lost):
    """Lengths of the runs of losses."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lost, [False]]).astype(int)))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize("burst", [1, 3])
def test_loss_jitter_and_bursts_are_those_asked_for(burst):
    arrivals = carried(loss=0.1, jitter=0.02, burst=burst, delay=0.5, doubled=0.2)
    lost = np.array([not each for each in arrivals])
    assert 0.08 < lost.mean() < 0.12
    assert runs(lost).min() >= burst
    delays = [t - 0.02 * i - 0.5 for i, each in enumerate(arrivals) for t in each]
    assert 0.019 < np.mean(delays) < 0.021
    assert min(delays) >= 0
    kept = [each for each in arrivals if each]
    assert 0.17 < np.mean([len(each) - 1 for each in kept]) < 0.23
    firsts = [each[0] for each in kept]
    assert 0.05 < np.mean(np.diff(firsts) < 0) < 0.4


def test_the_same_line_each_time_and_another_each_way():
    bad = {"loss": 0.1, "jitter": 0.02}
    assert carried(99, **bad) == carried(99, **bad)
    assert carried(99, **bad) != carried(99, direction="in", **bad)
    assert carried(99, **bad) != carried(99, seed=1, **bad)


def test_a_narrow_line_has_a_queue():
    delays = [each[0] - 0.02 * i for i, each in enumerate(carried(50, kbps=10))]
    assert delays[0] == pytest.approx(0.04)
    assert delays[-1] == pytest.approx(0.04 + 49 * 0.02)


@pytest.mark.parametrize(
    "wrong", [{"loss": 1.1}, {"loss": float("nan")}, {"jitter": -1}, {"burst": 0}, {"kbps": 0}]
)
def test_impossible_lines_are_refused(wrong):
    with pytest.raises(ArgumentError, match="must be"):
        Conditions(**wrong)
