"""Blocks of a file on two threads at once, each following the one before it through the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

from ncodec.models.base import CompressionModel

T = TypeVar("T")

_WORKERS = 2
"""More would wait for each other: a chain's longest part takes up to half of its time."""


class Workers:
    """Two threads that share this thread's torch threads; a context, in which they end.

    They start with the first work. An error or Ctrl-C waits for the blocks that are being computed,
    and no longer.
    """

    def __init__(self) -> None:
        self._threads = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            torch.set_num_threads(self._threads)  # here, and in threads that are yet to begin

    @property
    def enough(self) -> bool:
        """Whether there is a torch thread for each."""
        return self._threads >= _WORKERS

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin a work as soon as all before it have begun and a thread is free."""
        if self._pool is None:
            each = self._threads // _WORKERS
            torch.set_num_threads(1)
            self._pool = ThreadPoolExecutor(_WORKERS, "block", torch.set_num_threads, (each,))
        return self._pool.submit(_infer, work)


class Pipeline(Generic[T]):
    """The works of one stream: done at once, or by threads while more are added.

    Args:
        model: Does the work.
        workers: The threads, if results may wait for works to come.
    """

    def __init__(self, model: CompressionModel, workers: Workers | None) -> None:
        on_cpu = next(model.parameters()).device.type == "cpu"
        use = on_cpu and model.overlaps and workers is not None and workers.enough
        self._workers = workers if use else None
        self._pending: deque[Future[T]] = deque()

    def add(self, work: Callable[[], T]) -> list[T]:
        """Begin the next work; return the results that are ready, in order.

        Raises:
            Exception: What a work raised.
        """
        if self._workers is None:
            return [_infer(work)]
        self._pending.append(self._workers.submit(work))
        ready: list[T] = []
        while self._pending and (self._pending[0].done() or len(self._pending) > _WORKERS):
            ready.append(self._pending.popleft().result())
        return ready

    def rest(self) -> list[T]:
        """Wait for the results that have not been returned."""
        rest = [future.result() for future in self._pending]
        self._pending.clear()
        return rest


def _infer(work: Callable[[], T]) -> T:
    with torch.inference_mode():
        return work()
