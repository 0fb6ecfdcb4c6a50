"""The one switch between what is fastest here and what runs everywhere."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_PORTABLE = ContextVar("portable", default=os.environ.get("NCODEC_PORTABLE", "0") not in ("", "0"))


def is_portable() -> bool:
    """Say whether plain PyTorch computes everything, in this thread and context.

    Who switches oneDNN off (`torch.backends.mkldnn.flags`) wants no code of a processor's own.
    """
    return _PORTABLE.get() or not torch.backends.mkldnn.enabled


@contextmanager
def portable() -> Generator[None]:
    """Compute in plain PyTorch while the context lasts: to compare, to export, to look for faults.

    Codes are the same, audio differs by rounding.
    """
    token = _PORTABLE.set(True)
    try:
        yield
    finally:
        _PORTABLE.reset(token)
