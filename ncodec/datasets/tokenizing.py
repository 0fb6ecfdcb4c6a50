"""Whole sets to shards of codes: in this process, in several, or on Ray."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

import torch

from ncodec.arguments import check_whole
from ncodec.checkpoints.loading import ModelLike
from ncodec.datasets.recordings import list_recordings
from ncodec.datasets.run import Run, Summary, Told, check_free, make_tokenizer, open_worker
from ncodec.datasets.tokenizer import Tokenizer
from ncodec.errors import ArgumentError, NcodecError
from ncodec.progress import Progress


@dataclass(frozen=True)
class Tokenized:
    """What a run did.

    Attributes:
        run: The folder, and what is in it.
        rows: Recordings that are in its shards.
        errors: Recordings that could not be read.
        seconds: Their audio.
        frames: Their frames.
        before: Shards that were there when it began.
    """

    run: Run
    rows: int
    errors: int
    seconds: float
    frames: int
    before: int

    @classmethod
    def of(cls, run: Run, before: int) -> Tokenized:
        """Sum up a run that has come to its end."""
        shards = run.summaries()
        rows, errors, frames = (sum(s[k] for s in shards) for k in ("rows", "errors", "frames"))
        return cls(run, rows, errors, sum(s["seconds"] for s in shards), frames, before)


def tokenize(
    sources: Sequence[str | Path],
    folder: str | Path,
    *,
    format: str = "parquet",  # noqa: A002
    model: ModelLike = None,
    codebooks: int | None = None,
    shard_size: int = 1000,
    jobs: int = 1,
    device: str = "cpu",
    batch: int | None = None,
    engine: str = "processes",
    address: str | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Tokenized:
    """Code sets of recordings into shards, or go on where a run ended.

    Args:
        sources: See `list_recordings`.
        folder: New, or of the same run.
        format: "parquet", "webdataset" or "shar".
        model: As for `Tokenizer`; with several workers its name or the path of its file.
        codebooks: As for `Tokenizer`.
        shard_size: Recordings a shard.
        jobs: Workers; 1 codes in this process.
        device: Where the model runs; "auto" is the fastest that is there.
        batch: As for `Tokenizer`.
        engine: "processes" of this machine, or "ray".
        address: Of the Ray cluster: "auto" finds it, None starts one on this machine.
        progress: Called with seconds of audio done and how many there may be in all.
        say: Called with lines that a person should see while it waits.

    Raises:
        ArgumentError: No recordings, other settings than the run was begun with, another run at
            work there.
        NcodecError: A worker ended before its time.
        OSError: A shard cannot be written; what is whole stays, and a second run goes on.
    """
    if engine not in ("processes", "ray"):
        raise ArgumentError(f"engine {engine!r}: must be 'processes' or 'ray'")
    jobs, shard_size = check_whole("jobs", jobs, 1), check_whole("shard size", shard_size, 1)
    if not isinstance(model, str | Path | None) and (jobs > 1 or engine == "ray"):
        raise ArgumentError("several workers load the model themselves: give its name or path")
    settings = {"model": model, "codebooks": codebooks, "device": device, "batch": batch}
    run, tokenizer = _begin(sources, folder, settings, format, shard_size)
    with run.alone():
        numbers = run.pending()
        told = _Progress(progress, sum(len(run.slice(n)) for n in numbers))
        if engine == "ray":
            from ncodec.datasets.on_ray import Ray, write_on_ray

            written = write_on_ray(run, numbers, settings, Ray(jobs, address, told, say))
        elif jobs == 1:
            written = (run.write(n, tokenizer, told) for n in numbers)
        else:
            written = _write_in_processes(run, numbers, settings, jobs, told)
        for _ in written:
            pass
        run.finish()
    return Tokenized.of(run, run.shards - len(numbers))


def _begin(
    sources: Sequence[str | Path],
    folder: str | Path,
    settings: Mapping[str, Any],
    form: str,
    shard_size: int,
) -> tuple[Run, Tokenizer]:
    """Begin a run, or go on; the list of recordings is the run's from here on."""
    check_free(folder)
    recordings = list_recordings(sources, leave_out=folder)
    tokenizer = make_tokenizer(settings)
    return Run.begin(folder, recordings, tokenizer, format=form, shard_size=shard_size), tokenizer


class _Progress:
    """Recordings done tell how many seconds there may be in all."""

    def __init__(self, progress: Progress | None, recordings: int) -> None:
        self._progress, self._recordings = progress, recordings
        self._done, self._seconds = 0, 0.0

    def __call__(self, recordings: int, seconds: float) -> None:
        self._done += recordings
        self._seconds += seconds
        if self._progress is not None:
            whole = self._seconds * self._recordings / self._done if self._done else None
            self._progress(self._seconds, whole)


def _write_in_processes(
    run: Run, numbers: Sequence[int], settings: Mapping[str, Any], jobs: int, told: Told
) -> Generator[Summary]:
    """Have fresh processes write shards; yield what is in them as they come."""
    with closing(_Workers(run, settings, min(jobs, len(numbers)))) as workers:
        yield from workers.write(numbers, told)


class _Workers:
    """Processes that write the shards they are told to, each through its own pipe.

    A pipe ends with either of its ends: so a worker ends with its parent, however that dies, and
    the parent hears of a worker that died.
    """

    def __init__(self, run: Run, settings: Mapping[str, Any], count: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork could not use torch's threads
        self._workers: dict[Connection, Any] = {}
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, run.folder, dict(settings)))
            process.daemon = True
            process.start()
            theirs.close()
            self._workers[ours] = process

    def write(self, numbers: Sequence[int], told: Told) -> Iterator[Summary]:
        """Hand the shards out; yield what is in each as it comes.

        Raises:
            NcodecError: A worker died.
            OSError: A shard could not be written.
        """
        waiting = list(reversed(numbers))
        busy = set[Connection]()
        for pipe in self._workers:
            if waiting:
                pipe.send(waiting.pop())
                busy.add(pipe)
        while busy:
            for found in wait(list(busy)):
                pipe = cast(Connection, found)
                try:
                    kind, value = pipe.recv()
                except (EOFError, OSError):
                    raise NcodecError(self._say_died(pipe)) from None
                if kind == "failed":
                    raise value
                if kind == "told":
                    told(*value)
                    continue
                if waiting:
                    pipe.send(waiting.pop())
                else:
                    busy.remove(pipe)
                yield value

    def _say_died(self, pipe: Connection) -> str:
        process = self._workers[pipe]
        process.join(5)
        why = "killed, perhaps for want of memory" if process.exitcode == -9 else "died"
        return f"a worker {why} (status {process.exitcode}); start again to go on"

    def close(self) -> None:
        """End them all, at work or not."""
        for process in self._workers.values():
            process.terminate()
        for pipe, process in self._workers.items():
            process.join()
            pipe.close()


def _serve(pipe: Connection, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the shards that come through a pipe, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends this
    torch.set_num_threads(1)

    def told(recordings: int, seconds: float) -> None:
        try:
            pipe.send(("told", (recordings, seconds)))
        except OSError:
            raise SystemExit(1) from None  # there is nobody to work for

    try:
        run, tokenizer = open_worker(folder, settings)
        with run.at_work():
            while True:
                pipe.send(("done", run.write(pipe.recv(), tokenizer, told)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except (NcodecError, OSError) as error:
        pipe.send(("failed", error))
