"""`ncodec cut`: a stretch of time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ncodec_cli.common import file_size, from_start, naming, refuse_json_to_pipe, say_made
from ncodec_cli.completing import ECDC
from ncodec_cli.copying import copy_options, copying, split_output
from ncodec_cli.line import say_error
from ncodec_cli.parameters import TIME
from ncodec_cli.progress import BYTES, Progress, clock


@click.command()
@click.argument("paths", nargs=-1, required=True, type=ECDC, metavar="INPUT OUTPUT")
@click.option(
    "--start",
    type=TIME,
    default=0,
    metavar="TIME",
    help="Where to begin; -3 is 3 s before the end. [default: 0]",
)
@click.option("--end", type=TIME, metavar="TIME", help="Where to stop. [default: the end]")
@copy_options
def cut(
    *,
    paths: tuple[str, ...],
    start: float,
    end: float | None,
    output: str | None,
    **options: Any,
) -> None:
    """Copy a stretch of time of an .ecdc file, exact to the sample.

    No model is needed: packets are copied, with as many before the stretch as decoding needs; what
    plays is what the whole file plays there. TIME is seconds (90, 1.5), 1m30s or a clock time
    (1:30, 1:02:03.5). INPUT and OUTPUT may be - for a pipe. cat joins such parts again.

    \b
    Examples:
      ncodec cut talk.ecdc part.ecdc --start 0:01 --end 2.5
      ncodec cut talk.ecdc head.ecdc --end 2
      ncodec cut talk.ecdc last.ecdc --start -2
      ncodec cut talk.ecdc - --start 3 | ncodec decompress - tail.wav
    """
    (source, *others), target = split_output(paths, output)
    if others:
        raise click.UsageError("one INPUT is cut at a time")
    refuse_json_to_pipe(options, target)
    from ncodec_formats import cut

    if start < 0 or (end is not None and end < 0):
        whole = _length(source)
        start, end = from_start(start, whole) or 0.0, from_start(end, whole)

    with (
        Progress(Path(source).name, unit=BYTES, quiet=options["quiet"]) as progress,
        copying(source, target, options, progress) as (file, out, report),
    ):
        length = cut(
            file,
            out,
            start,
            end,
            seconds=True,
            keep_going=options["keep_going"],
            report=report,
        )
    stop = start + length
    texts = [_clock(length), f"from {_clock(start)} to {_clock(stop)}"]
    fields = {"start": start, "end": stop, "seconds": length}
    say_made(source, target, texts, fields, options)
    if end is not None and end - stop > 0.001:
        beyond = f"--end {end:g} s lies beyond the end, at {stop:g} s"
        say_error(beyond, "note", quiet=options["quiet"])


def _length(path: str) -> float | None:
    """Return how long a file is; None for a pipe."""
    if file_size(path) is None:
        return None
    from ncodec_formats import info

    with Path(path).open("rb") as file, naming(path):
        return info(file)["seconds"]


def _clock(seconds: float) -> str:
    """Return a time to the nearest thousandth: samples seldom fall on one."""
    return clock(round(seconds, 3), digits=3)
