"""`ncodec cat`: files end to end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import click

from ncodec.errors import NcodecError
from ncodec_cli.common import (
    PATH,
    force_option,
    name_of,
    open_input,
    open_output,
    output_option,
)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="INPUT... OUTPUT")
@output_option
@force_option
def cat(paths: tuple[str, ...], output: str | None, force: bool) -> None:
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
    current = paths[0]

    def opened() -> Iterator[BinaryIO]:
        nonlocal current
        for current in paths:
            with open_input(current) as file:
                yield file

    with open_output(output, force=force, inputs=paths) as out:
        try:
            cat(opened(), out)
        except NcodecError as error:
            raise type(error)(f"{name_of(current)}: {error}") from error
