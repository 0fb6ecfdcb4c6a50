"""`ncodec repair`: a sound file from a damaged one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ncodec.progress import Progress
from ncodec_cli.batch import Batch
from ncodec_cli.common import (
    batch_options,
    naming,
    open_input,
    open_output,
    open_seekable,
    output_option,
    result_json_option,
    say_made,
)
from ncodec_cli.completing import ECDC
from ncodec_cli.copying import watched
from ncodec_cli.plan import COPIES, Job
from ncodec_cli.progress import BYTES, clock


@click.command()
@click.argument("paths", nargs=-1, required=True, type=ECDC, metavar="INPUT... OUTPUT")
@output_option
@click.option(
    "--header-from",
    "sister",
    type=ECDC,
    metavar="FILE",
    help="Take a damaged header from a file that was made in the same way.",
)
@result_json_option
@batch_options
def repair(paths: tuple[str, ...], output: str | None, sister: str | None, **options: Any) -> None:
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
    header = None
    if sister is not None:
        from ncodec_formats import EcdcReader

        with open_input(sister) as file, naming(sister):
            header = EcdcReader(file).header

    batch = Batch.of(paths, output, COPIES, options)

    def work(job: Job, progress: Progress) -> None:
        from ncodec_formats import repair

        with (
            open_seekable(job.source) as source,
            open_output(job.target, force=options["force"], inputs=(job.source,)) as target,
            naming(job.source),
        ):
            report = repair(watched(source, progress), target, sister=header)
        found = str(report.losses) if report.losses else "nothing was damaged"
        texts = [f"{clock(report.seconds, digits=3)}, {found}"]
        fields = {"seconds": report.seconds, **asdict(report.losses), "problems": report.problems}
        say_made(job.source, job.target, texts, fields, options, single=batch.single)

    batch.run(work, BYTES)
