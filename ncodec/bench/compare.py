"""A whole comparison, from recordings to the folder with its tables and report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ncodec.bench import clips, machine, quality, report, tables
from ncodec.bench.found import find
from ncodec.bench.measures import missing_measures
from ncodec.bench.sources import find_sources
from ncodec.bench.summary import codebook_use
from ncodec.errors import ArgumentError, NcodecError

BANDWIDTHS = (1.5, 3.0, 6.0, 12.0)


def compare(
    paths: Sequence[Path],
    out: Path,
    *,
    bandwidths: Sequence[float] = BANDWIDTHS,
    against: Sequence[str] | None = None,
    model: str | None = None,
    seconds: float = 10.0,
    clips_per_kind: int = 1,
    jobs: int | None = None,
    progress: quality.Progress | None = None,
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
        clips_per_kind: recordings of each kind of sound to look at and listen to in the report.
        jobs: processes; one a core by default.
        progress: called with (done, all, what was done last).

    Raises:
        ArgumentError: no recording, an unknown codec, or a bandwidth that is not positive.
        CheckpointError: the model under test cannot be loaded.
        NcodecError: nothing could be measured.
    """
    if not bandwidths or min(bandwidths) <= 0:
        raise ArgumentError(f"bandwidths {list(bandwidths)}: must be positive, in kbps")
    sources = find_sources(paths, seconds)
    found = find(against, model)
    work = out / "work"
    planned = quality.plan(sources, found.codecs, bandwidths, work)
    taking_part = {job.codec for job in planned}
    idle = [
        f"{c.name}: has no rate near those asked for"
        for c in found.codecs
        if c.name not in taking_part
    ]
    rows, failures = quality.run(planned, jobs or os.cpu_count() or 1, progress)
    left_out = [*found.left_out, *idle, *missing_measures(), *failures]
    if not rows:
        raise NcodecError(f"nothing could be measured: {'; '.join(left_out) or 'no codec'}")
    results = tables.Results(rows, machine.describe(), left_out, codebook_use(rows, work))
    shown = clips.build(rows, sources, work, clips_per_kind)
    _write(out / "results.csv", tables.to_csv(results))
    _write(out / "results.json", tables.to_json(results))
    _write(out / "results.md", tables.to_markdown(results))
    _write(out / "report.html", report.to_html(results, shown))
    return results


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
