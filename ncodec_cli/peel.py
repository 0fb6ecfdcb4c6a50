"""`ncodec peel`: fewer codebooks, lower bitrate."""

from __future__ import annotations

from typing import Any

import click

from ncodec_cli.batch import Job, is_ecdc, plan_jobs, run_jobs
from ncodec_cli.common import (
    PATH,
    bw_option,
    codebooks_option,
    copy_damaged_option,
    damage_told,
    force_option,
    jobs_option,
    name_of,
    naming,
    open_input,
    open_output,
    output_option,
    quiet_option,
    say,
)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="INPUT... OUTPUT")
@output_option
@bw_option
@codebooks_option
@copy_damaged_option
@jobs_option
@force_option
@quiet_option
def peel(
    *,
    paths: tuple[str, ...],
    output: str | None,
    bw: float | None,
    codebooks: int | None,
    keep_going: bool,
    jobs: int | None,
    force: bool,
    quiet: bool,
) -> None:
    """Lower the bitrate of .ecdc files by dropping their upper codebooks.

    No model is needed: bytes are copied. The result is what compressing at the lower bitrate would
    have given. INPUT is a file, a folder (its tree is kept) or -; OUTPUT a file, a folder or -.

    \b
    Examples:
      ncodec peel talk.ecdc small.ecdc --bw 3
      ncodec peel talk.ecdc least.ecdc --codebooks 1
      ncodec peel coded/ small/ --bw 1.5
      ncodec peel talk.ecdc - --bw 1.5 | ncodec info -
    """
    if (bw is None) == (codebooks is None):
        raise click.UsageError("give one of --bw and --codebooks")
    if output is None and len(paths) < 2:
        raise click.UsageError("Missing argument 'OUTPUT'.")

    def work(job: Job, _progress: Any) -> None:
        from ncodec_formats import peel

        with (
            open_input(job.source) as source,
            open_output(job.target, force=force, inputs=(job.source,)) as target,
            naming(job.source),
            damage_told(job.source, keep_going=keep_going, quiet=quiet) as report,
        ):
            header = peel(
                source, target, codebooks, bandwidth=bw, keep_going=keep_going, report=report
            )
        count = len(header.codebook_sizes)
        asked = "" if bw is None or abs(bw - header.bandwidth) < 1e-9 else f" (asked: {bw:g})"
        books = f"{count} codebook{'s' if count > 1 else ''}, {header.bandwidth:g} kbps{asked}"
        target = "standard output" if job.target == "-" else job.target
        say(f"{name_of(job.source)} -> {target}: {books}", quiet=quiet)

    planned = plan_jobs(paths, output, is_output=lambda _: True, is_input=is_ecdc, suffix=".ecdc")
    run_jobs(work, planned, workers=jobs, threads=None, quiet=quiet)
