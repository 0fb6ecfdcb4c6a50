"""`ncodec peel`: fewer codebooks, lower bitrate."""

from __future__ import annotations

from typing import Any

import click

from ncodec.errors import counted
from ncodec.progress import Progress
from ncodec_cli.batch import Batch
from ncodec_cli.common import (
    batch_options,
    copy_damaged_option,
    kept_bw_option,
    kept_codebooks_option,
    output_option,
    result_json_option,
    say_made,
)
from ncodec_cli.completing import ECDC
from ncodec_cli.copying import copying
from ncodec_cli.plan import COPIES, Job
from ncodec_cli.progress import BYTES


@click.command()
@click.argument("paths", nargs=-1, required=True, type=ECDC, metavar="INPUT... OUTPUT")
@output_option
@kept_bw_option
@kept_codebooks_option
@copy_damaged_option
@result_json_option
@batch_options
def peel(
    *,
    paths: tuple[str, ...],
    output: str | None,
    bw: float | None,
    codebooks: int | None,
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

    batch = Batch.of(paths, output, COPIES, options)

    def work(job: Job, progress: Progress) -> None:
        from ncodec_formats import peel

        with copying(job.source, job.target, options, progress) as (file, out, report):
            keep_going: bool = options["keep_going"]
            header = peel(file, out, codebooks, bandwidth=bw, keep_going=keep_going, report=report)
        count, kbps = len(header.codebook_sizes), header.bandwidth
        texts = [f"{counted(count, 'codebook')}, {kbps:g} kbps{_but(bw, kbps, count)}"]
        fields = {"codebooks": count, "kbps": kbps, "seconds": report.seconds}
        say_made(job.source, job.target, texts, fields, options, single=batch.single)

    batch.run(work, BYTES)


def _but(asked: float | None, kbps: float, count: int) -> str:
    """Say what the bitrate has to do with the one that was asked for, unless it is that."""
    if asked is None or abs(asked - kbps) < 1e-9:
        return ""
    # Where there was room for one codebook more, there was no more to keep.
    all_of_it = "all that it holds; " if asked - kbps >= kbps / count else ""
    return f" ({all_of_it}asked: {asked:g})"
