"""Many files at once: what goes where, and the work on several of them side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import click

from ncodec.errors import ArgumentError, NcodecError
from ncodec.progress import Progress as Report
from ncodec_cli.common import use_threads
from ncodec_cli.line import say_error
from ncodec_cli.progress import Progress


@dataclass(frozen=True)
class Job:
    """One input and its output; "-" is a pipe."""

    source: str
    target: str


def plan_jobs(
    paths: tuple[str, ...],
    output: str | None,
    *,
    is_output: Callable[[str], bool],
    is_input: Callable[[Path], bool],
    suffix: str,
) -> list[Job]:
    """Say which files are made from which.

    Without `output`, the last of several paths is it if it is "-" or a folder, if `is_output` says
    so by its name, or if the first of two is a folder. Folders are searched for files that
    `is_input`, and their tree is kept.

    Raises:
        click.UsageError: the paths make no sense together.
        ArgumentError: two files would become one.
    """
    if output is None and len(paths) > 1:
        last, folder = paths[-1], Path(paths[0]).is_dir() and len(paths) == 2
        if folder or last == "-" or last.endswith("/") or Path(last).is_dir() or is_output(last):
            paths, output = paths[:-1], last
        elif not Path(last).exists():
            raise click.UsageError(
                f"{last!r}: not there as an input, and no name of an output (-o takes any name)"
            )
    if len(paths) == 1 and not Path(paths[0]).is_dir():
        return [Job(paths[0], _single(paths[0], output, suffix))]
    if output is not None and not _is_folder(output):
        raise click.UsageError(f"several inputs need a folder as output, not {output!r}")
    jobs = [job for path in paths for job in _expand(path, output, is_input, suffix)]
    if not jobs:
        raise ArgumentError(f"{', '.join(paths)}: no files to work on there")
    made: dict[str, str] = {}
    for job in jobs:
        if job.target in made:
            raise ArgumentError(
                f"{made[job.target]} and {job.source} would both become {job.target}"
            )
        made[job.target] = job.source
    for job in jobs:
        Path(job.target).parent.mkdir(parents=True, exist_ok=True)
    return jobs


def _is_folder(output: str) -> bool:
    """Say whether an output is meant as a folder, which need not be there yet."""
    path = Path(output)
    named = output.endswith("/") or (output != "-" and not path.suffix)
    return path.is_dir() or (named and not path.exists())


def _single(source: str, output: str | None, suffix: str) -> str:
    if output is None:
        return "-" if source == "-" else str(Path(source).with_suffix(suffix))
    if output != "-" and (Path(output).is_dir() or output.endswith("/")):
        if source == "-":
            raise click.UsageError(f"{output!r} is a folder; a pipe needs the name of a file")
        return str(Path(output) / Path(source).with_suffix(suffix).name)
    return output


def _expand(
    path: str, output: str | None, is_input: Callable[[Path], bool], suffix: str
) -> Iterable[Job]:
    root = Path(path)
    if not root.is_dir():
        if path == "-":
            raise click.UsageError("a pipe can only be the single input")
        folder = root.parent if output is None else Path(output)
        yield Job(path, str(folder / root.with_suffix(suffix).name))
        return
    base = root if output is None else Path(output)
    for file in _walk(root, is_input):
        yield Job(str(file), str((base / file.relative_to(root)).with_suffix(suffix)))


def _walk(root: Path, is_input: Callable[[Path], bool]) -> Iterable[Path]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder) / name
            if is_input(file) and not name.startswith("."):
                yield file


def is_ecdc(path: Path) -> bool:
    """Say whether a file in a folder is one of ours, by its name."""
    return path.suffix.lower() == ".ecdc"


def each_file(paths: tuple[str, ...], work: Callable[[str], None]) -> None:
    """Do one file after another, those in folders too; one that fails is told, the others go on.

    Raises:
        NcodecError: some failed; a single file's own error comes through as it is.
    """
    files: list[str] = []
    for path in paths:
        found = (
            [str(file) for file in _walk(Path(path), is_ecdc)] if Path(path).is_dir() else [path]
        )
        if not found:
            raise ArgumentError(f"{path}: no .ecdc files to work on there")
        files += found
    failed = 0
    for file in files:
        try:
            work(file)
        except BrokenPipeError:
            raise
        except (NcodecError, OSError) as error:
            if len(files) == 1:
                raise
            failed += 1
            report_failure(file, error)
    if failed:
        raise NcodecError(f"{failed} of {len(files)} files failed")


def report_failure(source: str, error: BaseException) -> None:
    """Print one line for a file that failed while others go on."""
    from ncodec_cli.main import describe

    text = describe(error) if isinstance(error, Exception) else "cancelled"
    text = text if source in text else f"{source}: {text}"
    say_error(text)


class Cancelled(BaseException):
    """Raised in a worker when the whole batch is being given up."""


Work = Callable[[Job, Report], None]


def run_jobs(
    work: Work, jobs: list[Job], *, workers: int | None, threads: int | None, quiet: bool
) -> None:
    """Do all jobs; one that fails is reported and the others go on.

    Raises:
        NcodecError: some failed; a single job's own error comes through as it is.
    """
    if len(jobs) == 1:
        use_threads(threads)
        with Progress(Path(jobs[0].source).name, quiet=quiet) as progress:
            work(jobs[0], progress)
        return
    workers = min(workers or usable_cores(), len(jobs))
    use_threads(threads or (1 if workers > 1 else None))
    sizes = {job.source: _size(job.source) for job in jobs}
    with Progress(files=len(jobs), sizes=sum(sizes.values()), quiet=quiet) as progress:
        failed = _run_pool(work, jobs, workers, progress, sizes)
    if failed:
        raise NcodecError(f"{failed} of {len(jobs)} files failed")


def usable_cores() -> int:
    """Return how many cores this process may use: fewer than the machine has in a container."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # macOS, Windows
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max" in it
        return cores


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _run_pool(
    work: Work, jobs: list[Job], workers: int, progress: Progress, sizes: dict[str, int]
) -> int:
    """Return how many failed; on Ctrl-C the workers stop at their next block."""
    stop = threading.Event()

    def run(job: Job) -> None:
        part = progress.part(job.source, sizes[job.source])

        def report(done: float, total: float | None) -> None:
            if stop.is_set():
                raise Cancelled
            part(done, total)

        try:
            report(0.0, None)
            work(job, report)
        finally:
            part.end()

    failed = 0
    with ThreadPoolExecutor(workers) as pool:
        waiting: dict[Future[None], Job] = {pool.submit(run, job): job for job in jobs}
        try:
            while waiting:
                ended, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in ended:
                    error, job = future.exception(), waiting.pop(future)
                    if error is not None:
                        failed += 1
                        report_failure(job.source, error)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return failed
