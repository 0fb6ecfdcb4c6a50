"""`ncodec page`: one HTML file in which .ecdc files play."""

from __future__ import annotations

from pathlib import Path

import click

from ncodec_cli import line
from ncodec_cli.checks import check_source
from ncodec_cli.common import (
    force_option,
    model_option,
    name_of,
    name_of_output,
    open_input,
    open_output,
    quiet_option,
)
from ncodec_cli.completing import ECDC
from ncodec_cli.line import say


@click.command()
@click.argument("paths", nargs=-1, type=ECDC, metavar="[FILE]...")
@click.option(
    "-o", "--output", default="page.html", metavar="PAGE", show_default=True, help="Where it goes."
)
@click.option("--title", default="ncodec player", metavar="WORDS", help="What stands above it.")
@model_option
@force_option
@quiet_option
def page(
    *,
    paths: tuple[str, ...],
    output: str,
    title: str,
    model: str | None,
    force: bool,
    quiet: bool,
) -> None:
    """Make a page that plays .ecdc files, for those who have no ncodec.

    It is one file with the decoder in it: it opens from disk in a browser and loads nothing. Files
    dropped on it play there, with a look at their header, tags and damage; it records from the
    microphone too. Each FILE is open when the page opens. The model is that of the first FILE, or
    the embedded one; a page holds one model.

    \b
    Examples:
      ncodec page -o player.html
      ncodec page talk.ecdc -o talk.html --title "The talk of Monday"
      ncodec page one.ecdc two.ecdc --model ncodec_24khz
    """
    for path in paths:
        check_source(path, None)
    with open_output(output, force=force, inputs=paths) as target:
        if not quiet:
            line.show("packing the model")
        try:
            from ncodec.page import PageFile, make_page

            shown: list[PageFile] = []
            for path in paths:
                with open_input(path) as file:
                    shown.append(PageFile(Path(name_of(path)).name, file.read()))
            data = make_page(shown, model=model, title=title).encode("utf-8")
        finally:
            line.clear()
        target.write(data)
    if not quiet:
        say(f"{name_of_output(output)}: {len(data) / 1e6:.1f} MB, {_files(len(shown))}")


def _files(count: int) -> str:
    return f"{count} file{'s' if count != 1 else ''} in it" if count else "no file in it yet"
