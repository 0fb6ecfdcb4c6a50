"""Shared by all tests: one thread, so that runs are alike on every machine, and Ctrl-C.

A shell that starts the suite in the background, or nohup, has it ignore signals, and so would the
commands that tests start. Property tests have no deadline: a machine may be busy.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

try:
    import torch
except ImportError:  # the bytes and the samples need none, and are tested so on other Pythons too
    pass
else:
    torch.set_num_threads(1)
os.environ.pop("PYTHONUNBUFFERED", None)  # where it is set, output that stays behind is not seen
for _name in ("SIGINT", "SIGHUP", "SIGQUIT"):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _name == "SIGINT" else signal.SIG_DFL)

hypothesis.settings.register_profile(
    "ncodec", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ncodec")

PORTABLE = ("audio", "bench", "codec", "kernels", "live", "metrics", "models", "nn", "quantize")
"""Folders of tests that a lesser processor, or one without optional programs, could make fail."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lies in these folders; a worker of `-n` has whole files."""
    here = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(here)
        if place.parts[0] in PORTABLE:
            item.add_marker("portable")
        if config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(place.as_posix()))


def reasons(skipped: list[pytest.TestReport]) -> list[str]:
    """Return a line for each reason to skip: how many tests, and why."""
    counts = Counter[str]()
    for report in skipped:
        where = report.longrepr
        reason = where[2] if isinstance(where, tuple) else str(where)
        counts[reason.removeprefix("Skipped: ")] += 1
    return [f"{count:5} skipped: {reason}" for reason, count in counts.most_common()]


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with one line for each reason that something was skipped."""
    for line in reasons(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)
