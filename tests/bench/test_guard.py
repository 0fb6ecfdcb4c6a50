"""The regression guard: what it lets pass and what it stops."""

from __future__ import annotations

import importlib.util
import json
from copy import deepcopy
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def guard() -> ModuleType:
    spec = importlib.util.spec_from_file_location("guard", BENCHMARKS / "guard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("key", "change", "stopped"),
    [
        ("pesq_wb", -0.1, True),
        ("pesq_wb", -0.05, False),
        ("pesq_wb", +0.5, False),
        ("stoi", -0.01, True),
        ("log_mel", +0.1, True),
        ("log_mel", -0.5, False),
        ("bytes", +60, True),
        ("bytes", -60, False),
    ],
)
def test_a_figure_that_got_worse_is_stopped(guard, key: str, change: float, stopped: bool) -> None:
    stored = json.loads((BENCHMARKS / "guard.json").read_text())["figures"]
    found = deepcopy(stored)
    assert guard.compare(found, stored) == 0
    found["speech 1.5 kbps"][key] += change
    assert guard.compare(found, stored) == stopped


def test_a_figure_that_is_missing_is_no_pass(guard) -> None:
    stored = json.loads((BENCHMARKS / "guard.json").read_text())["figures"]
    with pytest.raises(KeyError):
        guard.compare({}, stored)
