"""The learning rate: up in a line, down by a cosine, by steps or by the clock."""

from dataclasses import replace

import pytest

from ncodec.train.config import OptimSection
from ncodec.train.schedule import learning_rate, progress

OPTIONS = OptimSection(steps=1000, lr=1e-3, warmup=100, final=0.1)


def test_it_warms_up_and_ends_at_its_last_part() -> None:
    rates = [learning_rate(OPTIONS, step, progress(OPTIONS, step, 0)) for step in range(1001)]
    assert rates[0] == pytest.approx(1e-5, rel=1e-3)
    assert rates[:100] == sorted(rates[:100])
    assert rates[99:] == sorted(rates[99:], reverse=True)
    assert rates[1000] == pytest.approx(1e-4)
    middle = replace(OPTIONS, warmup=0)
    assert learning_rate(middle, 500, 0.5) == pytest.approx(0.55e-3)


def test_what_ends_first_counts() -> None:
    clocked = replace(OPTIONS, minutes=2.0)
    assert progress(clocked, 100, 60.0) == 0.5
    assert progress(clocked, 900, 60.0) == 0.9
    assert progress(clocked, 100, 500.0) == 1.0
    assert progress(OPTIONS, 100, 1e9) == 0.1
    assert progress(OPTIONS, 5000, 0.0) == 1.0


def test_the_root_knows_no_end() -> None:
    rooted = replace(OPTIONS, curve="root")
    rates = [learning_rate(rooted, step, progress(rooted, step, 0)) for step in (0, 99, 399, 9999)]
    assert rates == pytest.approx([1e-5, 1e-3, 5e-4, 1e-4])
