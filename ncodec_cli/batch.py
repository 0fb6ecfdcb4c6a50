"""Jobs done one by one or side by side: checked first, counted at the end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from ncodec.errors import ArgumentError, NcodecError, OutputExistsError, counted
from ncodec.progress import Progress as Report
from ncodec_cli.checks import Refuse, check_source, check_target, exists
from ncodec_cli.common import name_of, refuse_json_to_pipe, usable_cores
from ncodec_cli.line import clear, in_lines, put_json, say, say_error, show
from ncodec_cli.plan import Job, Kind, LeftOut, Plan, find_files, plan_jobs
from ncodec_cli.progress import TIME, Progress, Unit, clock, ratio

Work = Callable[[Job, Report], None]


class Cancelled(BaseException):
    """Raised in a worker when the whole batch is being given up."""


class Batch:
    """The jobs of one command.

    `check` comes before anything is loaded, `run` does what is left. A single job's own error comes
    through; of several, each that fails is told, and the others go on.
    """

    def __init__(self, plan: Plan, options: dict[str, Any]) -> None:
        """Take the plan, and of the options: jobs, force, skip_existing, quiet, verbose."""
        self.jobs = plan.jobs
        self._count = len(plan.jobs)
        self._left_out = plan.left_out
        self._options = options
        self._made: list[Job] = []
        self._existed = self._failed = 0

    @classmethod
    def of(
        cls,
        paths: tuple[str, ...],
        output: str | None,
        kind: Kind,
        options: dict[str, Any],
        refuse: Refuse | None = None,
    ) -> Batch:
        """Plan and check; raise what is wrong before anything is loaded."""
        if options["force"] and options["skip_existing"]:
            raise click.UsageError("--force and --skip-existing: only one of them can be given")
        try:
            plan = plan_jobs(paths, output, kind)
        except click.UsageError:
            with suppress(OSError):  # what an input is says better what is wrong
                check_source(paths[0], refuse)
            raise
        if output is None and len(paths) == len(plan.jobs) == 2 and os.path.isfile(paths[0]):
            check_source(paths[0], refuse)  # IN OUT, but the wrong way round
        for job in plan.jobs if "as_json" in options else ():
            refuse_json_to_pipe(options, job.target)
        batch = cls(plan, options)
        batch.check(refuse)
        return batch

    @property
    def single(self) -> bool:
        """Whether there is one job, whose error is the command's."""
        return self._count == 1 and not self._left_out.closed

    def check(self, refuse: Refuse | None = None) -> None:
        """Drop the jobs that cannot be done or need not be, and say so.

        Raises:
            NcodecError, OSError: what is wrong with a single job.
        """
        quiet: bool = self._options["quiet"]
        for text in self._left_out.lines(verbose=self._options["verbose"]):
            say(text, quiet=quiet)
        for error in self._left_out.closed:
            self._fail([str(error.filename)], error)
        there = set[Job]()
        if not self._options["force"]:
            there = {job for job in self.jobs if exists(job)}
        if self._options["skip_existing"]:
            self._skip(there)
        self.jobs = [job for job in self.jobs if self._possible(job, refuse)]
        self._refuse_existing(there.intersection(self.jobs))

    def _skip(self, there: set[Job]) -> None:
        self._existed = len(there)
        self.jobs = [job for job in self.jobs if job not in there]
        if self._options["verbose"] or self.single:
            for job in sorted(there, key=lambda job: job.target):
                text = f"{job.target}: exists already, left as it is"
                say(text, quiet=self._options["quiet"])

    def _possible(self, job: Job, refuse: Refuse | None) -> bool:
        try:
            check_source(job.source, refuse)
            check_target(job)
        except (NcodecError, OSError) as error:
            self._fail([job.source], error)
            return False
        return True

    def _refuse_existing(self, there: set[Job]) -> None:
        if not there:
            return
        first, ways = min(job.target for job in there), "--force overwrites"
        if not self.single:
            ways = f"--skip-existing passes over, {ways}"
        others = f" and {len(there) - 1} more" if len(there) > 1 else ""
        verb = "exist" if others else "exists"
        error = OutputExistsError(f"{first}{others}: {verb} already ({ways})")
        self._fail([job.source for job in self.jobs if job in there], error)
        self.jobs = [job for job in self.jobs if job not in there]

    def _fail(self, sources: list[str], error: BaseException) -> None:
        """Tell of jobs that cannot be done, or raise what keeps the only one from it."""
        if isinstance(error, BrokenPipeError):  # nobody listens any more
            raise error
        self._failed += len(sources)
        for source in sources if self._options.get("as_json") else ():
            put_json({"file": name_of(source), "error": described(error)})
        if self.single:
            raise error
        report_failure(sources[0], error)

    def run(self, work: Work, unit: Unit = TIME) -> None:
        """Do the jobs, whose progress is told in `unit`.

        Raises:
            NcodecError: some failed; a single job's own error comes through as it is.
        """
        began, folders = time.monotonic(), _make_folders(self.jobs)
        seconds = 0.0
        try:
            if self.single and self.jobs:
                self._run_one(work, unit)
            elif self.jobs:
                done = self._run_several(work, unit)
                seconds = done if unit is TIME else 0.0
        finally:
            for folder in reversed(folders):  # those that stayed empty
                with suppress(OSError):
                    folder.rmdir()
        if not self.single or self._left_out:
            self._sum_up(seconds, time.monotonic() - began)
        if self._failed:
            raise NcodecError(f"{self._failed} of {self._total} files failed")

    @property
    def workers(self) -> int:
        """How many jobs are done at once."""
        return max(1, min(self._options["jobs"] or usable_cores(), len(self.jobs)))

    def _run_one(self, work: Work, unit: Unit) -> None:
        (job,) = self.jobs
        name = Path(name_of(job.source)).name
        with Progress(name, unit=unit, quiet=self._options["quiet"]) as progress:
            try:
                work(job, progress)
            except (NcodecError, OSError) as error:
                self._fail([job.source], error)
        self._made.append(job)

    def _run_several(self, work: Work, unit: Unit) -> float:
        """Return how much was done, in the unit."""
        sizes = {job: _size(job.source) for job in self.jobs}
        files, quiet, whole = len(self.jobs), self._options["quiet"], sum(sizes.values())
        with Progress(files=files, unit=unit, sizes=whole, quiet=quiet) as progress:

            def run(job: Job, stop: threading.Event) -> None:
                part = progress.part(job.source, sizes[job])

                def report(done: float, total: float | None) -> None:
                    if stop.is_set():
                        raise Cancelled
                    part(done, total)

                try:
                    report(0.0, None)
                    work(job, report)
                finally:
                    part.end()

            self._pool(run)
            return progress.done

    def _pool(self, run: Callable[[Job, threading.Event], None]) -> None:
        """Do all jobs; on Ctrl-C the workers stop at their next block."""
        stop = threading.Event()
        with ThreadPoolExecutor(self.workers) as pool:
            waiting: dict[Future[None], Job] = {
                pool.submit(run, job, stop): job for job in self.jobs
            }
            try:
                while waiting:
                    ended, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in ended:
                        error, job = future.exception(), waiting.pop(future)
                        if error is None:
                            self._made.append(job)
                        else:
                            self._fail([job.source], error)
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    @property
    def _total(self) -> int:
        return self._count + len(self._left_out.closed)

    def _sum_up(self, seconds: float, took: float) -> None:
        """Say what became of the files, and what of their size."""
        parts = [f"{len(self._made)} done"]
        for count, word in (
            (self._existed, "existed"),
            (self._failed, "failed"),
            (len(self._left_out), "left out"),
        ):
            parts += [f"{count} {word}"] if count else []
        text = f"{counted(self._total, 'file')}: {', '.join(parts)}"
        if self._made:
            before = sum(_size(job.source) for job in self._made)
            after = sum(_size(job.target) for job in self._made)
            sound = f"{clock(seconds)} of sound, " if seconds else ""
            text = in_lines(text, f"{sound}{ratio(before, after)}, {_duration(took)}")
        say(text, quiet=self._options["quiet"])


def _make_folders(jobs: Iterable[Job]) -> list[Path]:
    """Make the folders that outputs need; return the new ones, outer ones first."""
    made: list[Path] = []
    for folder in dict.fromkeys(Path(job.target).parent for job in jobs if job.new_folder):
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        made += reversed(missing)
    return made


def _size(path: str) -> int:
    """Return the size of a file, 0 for what has none."""
    try:
        return os.stat(path).st_size if os.path.isfile(path) else 0
    except OSError:
        return 0


def _duration(seconds: float) -> str:
    if seconds >= 99.5:
        return clock(seconds)
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{max(seconds, 0.1):.1f} s"


def each_file(
    paths: tuple[str, ...], work: Callable[[str], None], *, as_json: bool = False
) -> None:
    """Do one file after another, those in folders too; one that fails is told, the others go on.

    With `as_json` it has an object on standard output as well, with its name and the error.

    Raises:
        NcodecError: some failed; a single file's own error comes through as it is.
    """
    files: list[str] = []
    for path in paths:
        seen = LeftOut()
        found = list(find_files(path, ECDC, seen)) if Path(path).is_dir() else [path]
        found += [str(error.filename) for error in seen.closed]  # opening them says what is wrong
        if not found:
            raise ArgumentError(f"{path}: no .ecdc files there")
        files += found
    failed = 0
    for number, file in enumerate(files):
        if len(files) > 1:
            show(f"{number}/{len(files)}  {file}")
        try:
            work(file)
        except BrokenPipeError:
            raise
        except (NcodecError, OSError) as error:
            if as_json:
                put_json({"file": name_of(file), "error": described(error)})
            if len(files) == 1:
                raise
            failed += 1
            report_failure(file, error)
    clear()
    if failed:
        raise NcodecError(f"{failed} of {len(files)} files failed")


ECDC = frozenset({".ecdc"})


def described(error: BaseException) -> str:
    """Return one line for an error."""
    from ncodec_cli.main import describe

    return describe(error) if isinstance(error, Exception) else "cancelled"


def report_failure(source: str, error: BaseException) -> None:
    """Print one line for a file that failed while others go on."""
    text = described(error)
    say_error(text if source in text else f"{source}: {text}")
