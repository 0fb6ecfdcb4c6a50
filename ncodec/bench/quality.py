"""Every recording through every codec at every bitrate: jobs in parallel, each kept when done."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ncodec import metrics
from ncodec.bench.codecs import Codec
from ncodec.bench.found import find
from ncodec.bench.measures import measure
from ncodec.bench.processes import workers
from ncodec.bench.sources import Source
from ncodec.errors import NcodecError, in_words
from ncodec.files import atomic_output
from ncodec.metrics.signal import channels_of, resample
from ncodec.progress import Progress

SCHEMA = 2
"""Raise when a row's meaning changes: kept results of older schemas are measured anew."""


@dataclass(frozen=True)
class Job:
    """One recording through one codec at one of its rates.

    Attributes:
        source: the recording.
        codec: the codec's name; a worker finds it by it.
        title: the codec's title, with its version.
        setting: the codec's own rate, kbps.
        key: digest of all that the result depends on; names the kept files.
        folder: where results are kept.
        generations: how often it is coded, always what came of the time before.
    """

    source: Source
    codec: str
    title: str
    setting: float
    key: str
    folder: Path
    generations: int = 1

    @property
    def row_path(self) -> Path:
        """Where the row is kept; written last, so it is there only when all is."""
        return self.folder / f"{self.key}.json"

    @property
    def decoded_path(self) -> Path:
        """Where the decoded sound is kept, aligned, at the source's rate, 16 bits."""
        return self.folder / f"{self.key}.flac"


@dataclass(frozen=True)
class Row:
    """What one job found.

    Attributes:
        file: name of the recording.
        kind: of sound.
        codec: name of the codec.
        title: its title.
        setting: the rate asked of it, kbps.
        kbps: the real rate: all bytes on disk over the duration.
        seconds: duration.
        values: by measure.
        decoded: name of the kept file of decoded sound.
        coded: name of the kept compressed file.
    """

    file: str
    kind: str
    codec: str
    title: str
    setting: float
    kbps: float
    seconds: float
    values: dict[str, float]
    decoded: str
    coded: str


def plan(
    sources: Sequence[Source],
    codecs: Sequence[Codec],
    bandwidths: Sequence[float],
    folder: Path,
    generations: int = 1,
) -> list[Job]:
    """Return the jobs: every source, codec, and rate of the codec that serves for an asked one.

    Of recordings with the same samples only the first counts. Each is coded `generations` times,
    always what came of the time before.
    """
    jobs = list[Job]()
    digests = set[str]()
    for source in sources:
        digest = source.digest()
        if digest in digests:
            continue
        digests.add(digest)
        for codec in codecs:
            asked = (codec.setting(bandwidth) for bandwidth in bandwidths)
            for setting in dict.fromkeys(s for s in asked if s is not None):
                what = json.dumps([SCHEMA, digest, source.kind, codec.title, setting, generations])
                key = hashlib.sha256(what.encode()).hexdigest()[:20]
                jobs.append(Job(source, codec.name, codec.title, setting, key, folder, generations))
    return jobs


def run(
    jobs: Sequence[Job], processes: int = 1, progress: Progress | None = None
) -> tuple[list[Row], list[str]]:
    """Run the jobs whose results are not kept yet; return all rows and a line for each failure.

    Args:
        jobs: from `plan`, all with the same folder, which is made.
        processes: how many work side by side; each uses one thread.
        progress: called with how many are done, and all.
    """
    for folder in {job.folder for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    rows = {job.key: row for job in jobs if (row := _kept(job)) is not None}
    waiting = [job for job in jobs if job.key not in rows]
    failures = list[str]()
    if progress:
        progress(len(rows), len(jobs))
    for job, result in _each(waiting, processes):
        what = f"{job.source.name} {job.codec} {job.setting:g} kbps"
        if isinstance(result, Row):
            rows[job.key] = result
        else:
            failures.append(f"{what}: {result}")
        if progress:
            progress(len(rows) + len(failures), len(jobs))
    return [rows[job.key] for job in jobs if job.key in rows], failures


def _each(jobs: Sequence[Job], count: int) -> Iterator[tuple[Job, Row | str]]:
    if not jobs:
        return
    with workers(min(count, len(jobs)), log=jobs[0].folder / "workers.log") as pool:
        futures: dict[Future[Row], Job] = {pool.submit(execute, job): job for job in jobs}
        pending = set(futures)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    raise NcodecError("a worker process died: out of memory?") from error
                yield futures[future], future.result() if error is None else _told(error)


def _told(error: BaseException) -> str:
    """Write an error in a line; what is no NcodecError comes from a tool or package, so name it."""
    if isinstance(error, NcodecError) or (isinstance(error, OSError) and error.strerror):
        return in_words(error)
    return f"{type(error).__name__}: {error}"


def execute(job: Job) -> Row:
    """Do one job and keep its row and its decoded sound; jobs run side by side as processes."""
    import soundfile as sf

    samples, rate = job.source.read()
    reference = decoded = channels_of(samples)
    kept = Path()
    for _ in range(job.generations):
        with tempfile.TemporaryDirectory() as folder:
            coded = _codec(job.codec).run(decoded, rate, job.setting, Path(folder))
            kept = job.folder / f"{job.key}{coded.file.suffix}"
            shutil.copyfile(coded.file, kept)
        decoded = resample(channels_of(coded.samples), coded.sample_rate, rate)
        decoded = metrics.align(reference, decoded, rate)
    seconds = reference.shape[1] / rate
    row = Row(
        file=job.source.name,
        kind=job.source.kind,
        codec=job.codec,
        title=job.title,
        setting=job.setting,
        kbps=metrics.real_bitrate(kept.stat().st_size, seconds),
        seconds=seconds,
        values=measure(job.source.kind, reference, decoded, rate),
        decoded=job.decoded_path.name,
        coded=kept.name,
    )
    sf.write(job.decoded_path, np.clip(decoded.T, -1, 1), rate, subtype="PCM_16", format="FLAC")
    with atomic_output(job.row_path, force=True) as file:
        file.write(json.dumps(asdict(row)).encode())
    return row


def _kept(job: Job) -> Row | None:
    try:
        row = Row(**json.loads(job.row_path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    # The same samples may lie under another name this time.
    return replace(row, file=job.source.name) if job.decoded_path.exists() else None


@functools.cache
def _codec(name: str) -> Codec:
    return find([name]).codecs[0]
