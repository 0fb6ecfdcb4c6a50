"""`ncodec convert`: codes from one kind of file to another."""

from __future__ import annotations

from pathlib import Path

import click

from ncodec_cli.common import (
    PATH,
    force_option,
    naming,
    open_output,
    open_seekable,
    quiet_option,
    say,
)


@click.command()
@click.argument("source", type=PATH, metavar="IN")
@click.argument("target", metavar="OUT")
@click.option(
    "--to",
    type=click.Choice(["ecdc", "encodec", "dac", "npz", "safetensors"]),
    help="Kind to write; encodec is .ecdc version 0. [default: by OUT's name]",
)
@click.option("--model", metavar="NAME", help="Model of codes that do not name theirs.")
@click.option("--lm", is_flag=True, help="Code version 0 with EnCodec's language model.")
@force_option
@quiet_option
def convert(
    *,
    source: str,
    target: str,
    to: str | None,
    model: str | None,
    lm: bool,
    force: bool,
    quiet: bool,
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
    """
    from ncodec.codec import convert as convert_file
    from ncodec.codec import kind_of_name

    kind = to or ("ecdc" if target == "-" else kind_of_name(target))
    with (
        open_seekable(source) as file,
        naming(source),
        open_output(target, force=force, inputs=(source,)) as out,
    ):
        done = convert_file(file, out, to=kind, model=model, lm=lm)
    lost = f"; left out: {', '.join(done.lost)}" if done.lost else ""
    name = "standard output" if target == "-" else Path(target).name
    say(f"{name}: codes of {done.model}, from {done.source} to {done.target}{lost}", quiet=quiet)
    if lm:
        say(
            "note: LM coding depends on this machine's floating point; keep another copy",
            quiet=quiet,
        )
