"""`ncodec cut`: a stretch of time."""

from __future__ import annotations

import click

from ncodec_cli.common import (
    SECONDS,
    copy_damaged_option,
    damage_told,
    force_option,
    naming,
    open_input,
    open_output,
)
from ncodec_cli.completing import ECDC


@click.command()
@click.argument("source", type=ECDC, metavar="INPUT")
@click.argument("target", type=ECDC, metavar="OUTPUT")
@click.option(
    "--start", type=SECONDS, default=0, metavar="TIME", help="Where to begin. [default: 0]"
)
@click.option("--end", type=SECONDS, metavar="TIME", help="Where to stop. [default: the end]")
@copy_damaged_option
@force_option
def cut(
    *, source: str, target: str, start: float, end: float | None, keep_going: bool, force: bool
) -> None:
    """Copy a stretch of time of an .ecdc file, exact to the sample.

    No model is needed: packets are copied, with as many before the stretch as decoding needs; what
    plays is what the whole file plays there. TIME is seconds (90, 1.5) or a clock time (1:30,
    1:02:03.5). INPUT and OUTPUT may be - for a pipe. cat joins such parts again.

    \b
    Examples:
      ncodec cut talk.ecdc part.ecdc --start 0:01 --end 2.5
      ncodec cut talk.ecdc head.ecdc --end 2
      ncodec cut talk.ecdc - --start 3 | ncodec decompress - tail.wav
    """
    from ncodec_formats import cut

    with (
        open_input(source) as file,
        open_output(target, force=force, inputs=(source,)) as out,
        naming(source),
        damage_told(source, keep_going=keep_going) as report,
    ):
        cut(file, out, start, end, seconds=True, keep_going=keep_going, report=report)
