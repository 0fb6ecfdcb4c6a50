"""`ncodec repair`: a sound file from a damaged one."""

from __future__ import annotations

from typing import Any

import click

from ncodec_cli.batch import Job, is_ecdc, plan_jobs, run_jobs
from ncodec_cli.common import (
    PATH,
    clock,
    force_option,
    jobs_option,
    name_of,
    naming,
    open_input,
    open_output,
    open_seekable,
    output_option,
    quiet_option,
    say,
)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="INPUT... OUTPUT")
@output_option
@click.option(
    "--header-from",
    "sister",
    type=PATH,
    metavar="FILE",
    help="Take a damaged header from a file that was made in the same way.",
)
@jobs_option
@force_option
@quiet_option
def repair(
    *,
    paths: tuple[str, ...],
    output: str | None,
    sister: str | None,
    jobs: int | None,
    force: bool,
    quiet: bool,
) -> None:
    """Save what is whole in damaged .ecdc files.

    Packets keep the codebooks below the damage; what is lost becomes a marked gap, so that the rest
    stays in its place in time; totals, digests and index are made anew. A damaged header is
    replaced by the copy that longer files have at their end, or by that of another file. No model
    is needed, and INPUT is never changed. INPUT is a file, a folder (its tree is kept) or -; OUTPUT
    a file, a folder or -.

    \b
    Examples:
      ncodec repair damaged.ecdc saved.ecdc
      ncodec repair card/ saved/
      ncodec repair short.ecdc saved.ecdc --header-from other.ecdc
    """
    if output is None and len(paths) < 2:
        raise click.UsageError("Missing argument 'OUTPUT'.")
    header = None
    if sister is not None:
        from ncodec_formats import EcdcReader

        with open_input(sister) as file, naming(sister):
            header = EcdcReader(file).header

    def work(job: Job, _progress: Any) -> None:
        from ncodec_formats import repair

        with (
            open_seekable(job.source) as source,
            open_output(job.target, force=force, inputs=(job.source,)) as target,
            naming(job.source),
        ):
            report = repair(source, target, sister=header)
        target = "standard output" if job.target == "-" else job.target
        found = str(report.losses) if report.losses else "nothing was damaged"
        length = clock(report.seconds, digits=3)
        say(f"{name_of(job.source)} -> {target}: {length}, {found}", quiet=quiet)

    planned = plan_jobs(paths, output, is_output=lambda _: True, is_input=is_ecdc, suffix=".ecdc")
    run_jobs(work, planned, workers=jobs, threads=None, quiet=quiet)
