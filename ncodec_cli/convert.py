"""`ncodec convert`: codes from one kind of file to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ncodec_cli.checks import check_source
from ncodec_cli.common import (
    force_option,
    naming,
    open_output,
    open_seekable,
    output_option,
    quiet_option,
    refuse_json_to_pipe,
    result_json_option,
    say_made,
)
from ncodec_cli.completing import CODED, complete_models
from ncodec_cli.copying import split_output, watched
from ncodec_cli.line import say_error
from ncodec_cli.progress import BYTES, Progress


@click.command()
@click.argument("paths", nargs=-1, required=True, type=CODED, metavar="IN OUT")
@output_option
@click.option(
    "--to",
    "--format",
    "to",
    type=click.Choice(["ecdc", "encodec", "dac", "npz", "safetensors"]),
    help="Kind to write; encodec is .ecdc version 0. [default: by OUT's name]",
)
@click.option(
    "--model",
    metavar="NAME",
    help="Model of codes that do not name theirs.",
    shell_complete=complete_models,
)
@click.option(
    "--entropy",
    type=click.Choice(["auto", "none"]),
    help="Of .ecdc version 1: predict codes, which makes the file smaller, or pack them.",
)
@click.option("--lm", is_flag=True, help="Code version 0 with EnCodec's language model.")
@force_option
@result_json_option
@quiet_option
def convert(
    *,
    paths: tuple[str, ...],
    output: str | None,
    to: str | None,
    model: str | None,
    lm: bool,
    entropy: str | None,
    **options: Any,
) -> None:
    """Write the codes of IN as another kind of file; no code changes, nothing is decoded anew.

    IN is .ecdc of version 1 or 0, .dac, or .npz or .safetensors of codes; "-" is a pipe. What OUT
    has no place for is said.

    Files coded with EnCodec's language model decode only where a computer gives the very same
    floating-point numbers as the one that wrote them. Convert them where they still decode.

    \b
    Examples:
      ncodec convert old.ecdc new.ecdc
      ncodec convert talk.ecdc talk0.ecdc --to encodec
      ncodec convert lm-coded.ecdc plain.ecdc --to encodec
      ncodec convert talk.ecdc codes.npz
      ncodec convert codes.npz talk.ecdc --model encodec_24khz
      ncodec convert large.ecdc small.ecdc --entropy auto
    """
    (source, *others), target = split_output(paths, output)
    if others:
        raise click.UsageError("one IN is converted at a time")
    refuse_json_to_pipe(options, target)
    check_source(source, None)
    from ncodec.codec import convert as convert_file
    from ncodec.codec import kind_of_name

    kind = to or ("ecdc" if target == "-" else kind_of_name(target))
    with (
        Progress(Path(source).name, unit=BYTES, quiet=options["quiet"]) as progress,
        open_seekable(source) as file,
        naming(source),
        open_output(target, force=options["force"], inputs=(source,)) as out,
    ):
        done = convert_file(
            watched(file, progress), out, to=kind, model=model, lm=lm, entropy=entropy
        )
    lost = f"; left out: {', '.join(done.lost)}" if done.lost else ""
    text = f"codes of {done.model}, {_KINDS[done.source]} to {_KINDS[done.target]}{lost}"
    fields = {"model": done.model, "from": done.source, "to": done.target, "lost": done.lost}
    say_made(source, target, [text], fields, options)
    if lm:
        text = "LM coding depends on this machine's floating point; keep another copy"
        say_error(text, "note", quiet=options["quiet"])


_KINDS = {
    "ecdc": ".ecdc version 1",
    "ecdc1": ".ecdc version 1",
    "ecdc0": ".ecdc version 0",
    "encodec": ".ecdc version 0",
    "dac": ".dac",
    "npz": ".npz",
    "safetensors": ".safetensors",
}
