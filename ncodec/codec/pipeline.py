"""Blocks of a file on two threads at once, each following the one before it through the model."""

from __future__ import annotations

import contextvars
import copy
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

from ncodec.models.base import CompressionModel

T = TypeVar("T")

_COUNT = 2
"""More would wait for each other: a chain's longest part takes up to half of its time."""


class BlockThreads:
    """Two threads that share this thread's torch threads; a context, in which they end.

    They start with the first work; from then on this thread has one torch thread until the end,
    and others, also those yet to begin, have what they had. An error or Ctrl-C waits for the blocks
    that are being computed, and no longer.
    """

    def __init__(self) -> None:
        self._threads = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> BlockThreads:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            torch.set_num_threads(self._threads)

    @property
    def enough(self) -> bool:
        """Whether there is a torch thread for each."""
        return self._threads >= _COUNT

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin a work as soon as all before it have begun and a thread is free."""
        if self._pool is None:
            self._pool = self._begin()
        context = contextvars.copy_context()  # portable there if it is portable here
        return self._pool.submit(context.run, _infer, work)

    def _begin(self) -> ThreadPoolExecutor:
        """Start all threads; `set_num_threads` is for the thread that calls it and for new ones."""
        torch.set_num_threads(1)
        each = self._threads // _COUNT
        pool = ThreadPoolExecutor(_COUNT, "block", _use_threads, (each,))
        together = threading.Barrier(_COUNT + 1)
        for _ in range(_COUNT):
            pool.submit(together.wait)
        together.wait()
        other = threading.Thread(target=torch.set_num_threads, args=(self._threads,))
        other.start()
        other.join()
        return pool


class Pipeline(Generic[T]):
    """The works of one stream: done at once, or by threads while more are added.

    Args:
        model: Does the work.
        threads: The threads, if results may wait for works to come.
    """

    def __init__(self, model: CompressionModel, threads: BlockThreads | None) -> None:
        on_cpu = model.device.type == "cpu"
        use = on_cpu and model.overlaps and threads is not None and threads.enough
        self._block_threads = threads if use else None
        self._pending: deque[Future[T]] = deque()

    def add(self, work: Callable[[], T]) -> list[T]:
        """Begin the next work; return the results that are ready, in order.

        Raises:
            Exception: What a work raised.
        """
        if self._block_threads is None:
            return [_infer(work)]
        self._pending.append(self._block_threads.submit(work))
        return self.ready(_COUNT)

    def ready(self, behind: int | None = None) -> list[T]:
        """Return the results that are there; wait until at most `behind` works are not done."""
        ready: list[T] = []
        most = len(self._pending) if behind is None else behind
        while self._pending and (self._pending[0].done() or len(self._pending) > most):
            ready.append(self._pending.popleft().result())
        return ready

    def fork(self) -> Pipeline[T]:
        """Return another stream's pipeline, with nothing in it, over the same threads."""
        twin = copy.copy(self)
        twin._pending = deque()
        return twin

    def rest(self) -> list[T]:
        """Wait for the results that have not been returned."""
        rest = [future.result() for future in self._pending]
        self._pending.clear()
        return rest


def _use_threads(count: int) -> None:
    torch.get_num_threads()  # a thread's first question would undo what was set before it
    torch.set_num_threads(count)


def _infer(work: Callable[[], T]) -> T:
    with torch.inference_mode():
        return work()
