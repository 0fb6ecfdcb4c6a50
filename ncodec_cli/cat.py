"""`ncodec cat`: files end to end."""

from __future__ import annotations

from contextlib import ExitStack

import click

from ncodec_cli.common import (
    copy_damaged_option,
    damage_told,
    force_option,
    name_of,
    open_input,
    open_output,
    output_option,
)
from ncodec_cli.completing import ECDC


@click.command()
@click.argument("paths", nargs=-1, required=True, type=ECDC, metavar="INPUT... OUTPUT")
@output_option
@copy_damaged_option
@force_option
def cat(*, paths: tuple[str, ...], output: str | None, keep_going: bool, force: bool) -> None:
    """Join .ecdc files end to end.

    Parts that were cut from one file and touch become that file again; files of any other kind
    follow each other as links of a chain and play without a gap. Even models and sample rates may
    differ. INPUT and OUTPUT may be - for a pipe.

    \b
    Examples:
      ncodec cat head.ecdc tail.ecdc talk.ecdc
      ncodec cat chapter1.ecdc chapter2.ecdc -o book.ecdc
      ncodec cat a.ecdc b.ecdc - | ncodec decompress - | aplay
    """
    from ncodec_formats import cat

    if output is None:
        paths, output = paths[:-1], paths[-1]
    if not paths:
        raise click.UsageError("Missing argument 'OUTPUT'.")
    with ExitStack() as stack:
        sources = [stack.enter_context(open_input(path)) for path in paths]
        out = stack.enter_context(open_output(output, force=force, inputs=paths))
        report = stack.enter_context(damage_told(output, keep_going=keep_going))
        names = [name_of(path) for path in paths]
        cat(sources, out, names, keep_going=keep_going, report=report)
