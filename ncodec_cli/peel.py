"""`ncodec peel`: fewer codebooks, lower bitrate."""

from __future__ import annotations

from typing import Any

import click

from ncodec.progress import Progress
from ncodec_cli.batch import Batch
from ncodec_cli.common import (
    PATH,
    batch_options,
    bw_option,
    codebooks_option,
    copy_damaged_option,
    damage_told,
    name_of,
    name_of_output,
    naming,
    open_input,
    open_output,
    output_option,
)
from ncodec_cli.line import result, say
from ncodec_cli.plan import COPIES, Job


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="INPUT... OUTPUT")
@output_option
@bw_option
@codebooks_option
@copy_damaged_option
@batch_options
def peel(
    *,
    paths: tuple[str, ...],
    output: str | None,
    bw: float | None,
    codebooks: int | None,
    keep_going: bool,
    **options: Any,
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
    quiet: bool = options["quiet"]

    batch = Batch.of(paths, output, COPIES, options)

    def work(job: Job, _progress: Progress) -> None:
        from ncodec_formats import peel

        with (
            open_input(job.source) as source,
            open_output(job.target, force=options["force"], inputs=(job.source,)) as target,
            naming(job.source),
            damage_told(job.source, keep_going=keep_going, quiet=quiet) as report,
        ):
            header = peel(
                source, target, codebooks, bandwidth=bw, keep_going=keep_going, report=report
            )
        count = len(header.codebook_sizes)
        asked = "" if bw is None or abs(bw - header.bandwidth) < 1e-9 else f" (asked: {bw:g})"
        books = f"{count} codebook{'s' if count > 1 else ''}, {header.bandwidth:g} kbps{asked}"
        source, target = name_of(job.source), name_of_output(job.target)
        say(result(source, target, books, single=batch.single), quiet=quiet)

    batch.run(work)
