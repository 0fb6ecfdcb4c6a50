"""What a published figure must say about where it came from."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ncodec


def describe() -> dict[str, str]:
    """Return date, kind of machine, its instructions, and the versions that figures depend on."""
    from ncodec.runtime import processor_class  # and with it PyTorch

    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "machine": f"{_processor()}, {os.cpu_count()} cores visible, {platform.system()}",
        "instructions": processor_class(),
        "ncodec": ncodec.__version__,
        "python": platform.python_version(),
        **{name: found for name in ("torch", "numpy", "soxr") if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
