"""Jobs: uploads wait for a process of their own, which is ended when it takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

from ncodec.errors import LimitError, NcodecError
from ncodec.serve.settings import Settings
from ncodec.serve.work import MODELS, Job, run


class BusyError(NcodecError):
    """There is too much to do; try again later."""


class JobError(NcodecError):
    """What became of a job that was refused: `kind` is the name of the library's error."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Jobs:
    """Run jobs, so many at once, the others in a queue."""

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.limits
        self.running = self.waiting = 0
        self._free = asyncio.Semaphore(settings.limits.jobs)
        os.environ[MODELS] = ",".join(settings.models)
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["ncodec.serve.forked"])

    async def warm(self) -> None:
        """Start the process from which others are forked: it takes seconds to have all in it."""
        process = self._context.Process(target=os.getpid, daemon=True)
        await asyncio.to_thread(process.start)
        await asyncio.to_thread(process.join)

    async def do(self, job: Job) -> None:
        """Wait for a turn, then for the job.

        Raises:
            BusyError: The queue is full.
            JobError: It failed, or took too much.
        """
        limits = self._limits
        if self.waiting >= limits.queue and self._free.locked():
            raise BusyError(f"{self.waiting} files wait already")
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            await self._run(job)
        finally:
            self.running -= 1
            self._free.release()

    async def _run(self, job: Job) -> None:
        mine, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=run, args=(job, self._limits, theirs), daemon=True)
        await asyncio.to_thread(process.start)
        theirs.close()
        try:
            kind, text = await self._answer(mine, process)
        finally:
            await asyncio.shield(asyncio.to_thread(_end, process))
            mine.close()
        if kind != "done":
            raise JobError(kind, text)

    async def _answer(self, answer: Connection, process: BaseProcess) -> tuple[str, str]:
        """Wait for what the process says; one that ends without a word was ended by a limit."""
        there, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(answer.fileno(), there.set)
        seconds = self._limits.job_seconds
        try:
            await asyncio.wait_for(there.wait(), seconds)
            return answer.recv()
        except asyncio.TimeoutError:
            return LimitError.__name__, f"the file takes more than {seconds:g} s"
        except EOFError:
            return LimitError.__name__, "the file takes more time or memory than there is for one"
        finally:
            loop.remove_reader(answer.fileno())


def _end(process: BaseProcess) -> None:
    """End a process and all that it has started."""
    process.join(0.2)
    if process.pid is not None and process.exitcode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.join()
