"""A whole comparison, from recordings to the folder with its tables and report."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ncodec.bench import clips, machine, quality, report, tables
from ncodec.bench.found import Found, find
from ncodec.bench.measures import missing_measures
from ncodec.bench.sources import find_sources
from ncodec.bench.summary import codebook_use
from ncodec.errors import ArgumentError, NcodecError
from ncodec.files import atomic_output
from ncodec.progress import Progress

BANDWIDTHS = (1.5, 3.0, 6.0, 12.0)


def compare(
    paths: Sequence[Path],
    out: Path,
    *,
    bandwidths: Sequence[float] = BANDWIDTHS,
    against: Sequence[str] | None = None,
    model: str | None = None,
    seconds: float = 10.0,
    level_db: float | None = None,
    generations: int = 1,
    clips_per_kind: int = 1,
    jobs: int | None = None,
    progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> tables.Results:
    """Compare codecs on recordings; write results.csv, .json, .md and report.html into `out`.

    What is done is kept in `out/work`, so a run that was interrupted goes on where it stopped.

    Args:
        paths: files and folders of recordings.
        out: folder, made if it is not there.
        bandwidths: rates that are asked for, in kbps; each codec takes its nearest.
        against: codecs to compare with; all that are on this machine by default.
        model: the model under test, None for none.
        seconds: how much of each recording is used.
        level_db: RMS that each is brought to first, in dB full scale; None: its own.
        generations: how often each is coded, always what came of the time before.
        clips_per_kind: recordings of each kind of sound to look at and listen to in the report.
        jobs: processes; one a core by default.
        progress: called with how many jobs are done, and all.
        tell: called, before the first job, with a line for each codec, measure and recording that
            is left out.

    Raises:
        ArgumentError: no recording, an unknown codec, or a bandwidth that is not positive.
        CheckpointError: the model under test cannot be loaded.
        NcodecError: nothing could be measured.
    """
    if not bandwidths or min(bandwidths) <= 0:
        raise ArgumentError(f"bandwidths {list(bandwidths)}: must be positive, in kbps")
    unreadable = list[str]()
    sources = find_sources(paths, seconds, unreadable, level_db)
    found = find(against, model)
    work = out / "work"
    planned = quality.plan(sources, found.codecs, bandwidths, work, generations)
    left_out = [*found.left_out, *_idle(found, planned), *missing_measures(), *unreadable]
    if tell is not None:
        for line in left_out:
            tell(f"left out: {line}")
    rows, failures = quality.run(planned, jobs or os.cpu_count() or 1, progress)
    left_out += failures
    if not rows:
        raise NcodecError(f"nothing could be measured: {'; '.join(left_out) or 'no codec'}")
    # Figures first: hours of work must not hang on what is only made of them.
    _write(out / "results.csv", tables.to_csv(tables.Results(rows, {})))
    results = tables.Results(
        rows,
        machine.describe(),
        left_out,
        codebook_use(rows, work),
        _command(paths, bandwidths, against, model, seconds) + _more(level_db, generations),
        {source.name: source.digest() for source in sources},
    )
    _write(out / "results.json", tables.to_json(results))
    _write(out / "results.md", tables.to_markdown(results))
    shown = clips.build(rows, sources, work, clips_per_kind)
    _write(out / "report.html", report.to_html(results, shown))
    return results


def _idle(found: Found, planned: Iterable[quality.Job]) -> Iterator[str]:
    """Yield a line for each codec that was found and has nothing to do."""
    taking_part = {job.codec for job in planned}
    for codec in found.codecs:
        if codec.name not in taking_part:
            yield f"{codec.name}: has no rate near those asked for"


def _command(
    paths: Sequence[Path],
    bandwidths: Sequence[float],
    against: Sequence[str] | None,
    model: str | None,
    seconds: float,
) -> str:
    words = ["ncodec", "bench", "quality", *map(str, paths)]
    words += ["--bw", ",".join(f"{rate:g}" for rate in bandwidths), "--model", model or "none"]
    words += [] if against is None else ["--against", ",".join(against)]
    return shlex.join([*words, "--seconds", f"{seconds:g}"])


def _more(level_db: float | None, generations: int) -> str:
    level = "" if level_db is None else f" --level {level_db:g}"
    return level + ("" if generations == 1 else f" --generations {generations}")


def _write(path: Path, text: str) -> None:
    with atomic_output(path, force=True) as file:
        file.write(text.encode())
