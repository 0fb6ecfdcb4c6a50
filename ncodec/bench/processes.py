"""Worker processes with a stated number of threads each."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workers(
    count: int, *, threads: int = 1, log: Path | None = None
) -> Generator[ProcessPoolExecutor]:
    """Open a pool of fresh processes; jobs not begun when it closes are dropped.

    Args:
        count: processes.
        threads: of each, for numerical libraries (`OMP_NUM_THREADS`, which must stand before they
            are loaded).
        log: file for what libraries print in a worker; None leaves it on the terminal.
    """
    context = multiprocessing.get_context("spawn")
    with _environment("OMP_NUM_THREADS", str(threads)):
        pool = ProcessPoolExecutor(count, context, _divert, (str(log) if log else None,))
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _environment(key: str, value: str) -> Generator[None]:
    before = os.environ.get(key)
    os.environ[key] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]
        else:
            os.environ[key] = before


def _divert(log: str | None) -> None:
    if log is not None:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
