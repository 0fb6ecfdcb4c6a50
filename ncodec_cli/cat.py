"""`ncodec cat`: files end to end."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, BinaryIO

import click

from ncodec_cli.common import (
    file_size,
    name_of,
    name_of_output,
    open_input,
    open_output,
    refuse_json_to_pipe,
    say_made,
)
from ncodec_cli.completing import ECDC
from ncodec_cli.copying import copy_options, damage_told, split_output, watched
from ncodec_cli.progress import BYTES, Progress, clock


@click.command()
@click.argument("paths", nargs=-1, required=True, type=ECDC, metavar="INPUT... OUTPUT")
@copy_options
def cat(*, paths: tuple[str, ...], output: str | None, **options: Any) -> None:
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
    sources, target = split_output(paths, output)
    refuse_json_to_pipe(options, target)
    links, seconds = _join(sources, target, options)
    names = [name_of(path) for path in sources]
    many = f"{len(names)} files" if len(names) > 2 else " + ".join(names)
    texts = [clock(seconds, digits=3)]
    texts += [f"a chain of {links} recordings"] if links > 1 else []
    fields = {"file": names, "seconds": seconds, "links": links}
    say_made(many, target, texts, fields, options)


def _join(sources: tuple[str, ...], target: str, options: dict[str, Any]) -> tuple[int, float]:
    """Write the output; return how many links it has, and its length in seconds."""
    from ncodec_formats import cat

    quiet, keep_going = options["quiet"], options["keep_going"]
    sizes = [file_size(path) for path in sources]
    whole = None if None in sizes else sum(size or 0 for size in sizes)
    done = [0.0] * len(sources)
    label = f"{len(sources)} files"
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(label, unit=BYTES, quiet=quiet))

        def watch(number: int, path: str) -> BinaryIO:
            def report(read: float, _size: float | None) -> None:
                done[number] = read
                progress(sum(done), whole)

            return watched(stack.enter_context(open_input(path)), report)

        files = [watch(number, path) for number, path in enumerate(sources)]
        out = stack.enter_context(open_output(target, force=options["force"], inputs=sources))
        report = stack.enter_context(
            damage_told(name_of_output(target), keep_going=keep_going, quiet=quiet)
        )
        names = [name_of(path) for path in sources]
        links = cat(files, out, names, keep_going=keep_going, report=report)
    return links, report.seconds
