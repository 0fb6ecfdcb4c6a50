"""The one switch between what is fastest here and what runs everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module

import torch

_PORTABLE = ContextVar("portable", default=os.environ.get("NCODEC_PORTABLE", "0") not in ("", "0"))


def _asks_onednn() -> bool:
    return bool(torch.backends.mkldnn.enabled)


_EXPORTING = ContextVar("exporting", default=False)
# What the property reads, in a third of its time: a frame of a live stream asks some forty times.
_onednn_enabled: Callable[[], bool] = getattr(
    import_module("torch._C"), "_get_mkldnn_enabled", _asks_onednn
)


def is_portable() -> bool:
    """Say whether plain PyTorch computes everything, in this thread and context.

    Who switches oneDNN off (`torch.backends.mkldnn.flags`) wants no code of a processor's own.
    """
    return _PORTABLE.get() or not _onednn_enabled()


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


def is_exporting() -> bool:
    """Say whether what is computed becomes a graph of another runtime."""
    return _EXPORTING.get()


@contextmanager
def exporting() -> Generator[None]:
    """Compute as `portable` does, from the weights as they are, and with operators of graphs."""
    token = _EXPORTING.set(True)
    try:
        with portable():
            yield
    finally:
        _EXPORTING.reset(token)
