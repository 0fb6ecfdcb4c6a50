"""`ncodec models`: list, show, pull, import and export models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ncodec_cli.common import force_option, json_option, quiet_option, say

if TYPE_CHECKING:
    from ncodec.checkpoints import Entry, ModelInfo


@click.group()
def models() -> None:
    """List, show, fetch, import and export models."""


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the models that are known, and whether they are on this machine.

    \b
    Examples:
      ncodec models list
      ncodec models list --json
    """
    from ncodec.checkpoints import known, read_model_info, stored_names
    from ncodec.checkpoints.cache import model_path

    stored = stored_names()
    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "here": entry.embedded or entry.name in stored,
            "licence": entry.licence,
            "summary": entry.summary,
        }
        for entry in known()
    ]
    names = {row["name"] for row in rows}
    for name in stored:
        if name not in names:
            info = read_model_info(model_path(name))
            rows.append(
                {
                    "name": name,
                    "here": True,
                    "licence": info.licence,
                    "summary": f"imported; family {info.family}",
                }
            )
    if as_json:
        click.echo(json.dumps(rows))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        state = "here" if row["here"] else "    "
        click.echo(f"{row['name']:<{width}}  {state}  {row['summary']}")


@models.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show all that is known of a model: NAME, or the path of a model file.

    \b
    Examples:
      ncodec models show encodec_24khz
      ncodec models show ./mine.safetensors --json
    """
    from ncodec.checkpoints import find, lookup, read_model_info
    from ncodec.checkpoints.registry import REGISTRY
    from ncodec.errors import CheckpointError

    entry = REGISTRY.get(name)
    try:
        path = find(name)
        info = read_model_info(path)
    except CheckpointError:
        if entry is None:
            raise
        fields = _of_entry(lookup(name))
    else:
        fields = _of_info(info, entry) | {"file": str(path)}
    if as_json:
        click.echo(json.dumps(fields))
        return
    for key, value in fields.items():
        for i, line in enumerate(_lines(value)):
            click.echo(f"{key if i == 0 else '':<10} {line}")


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--mirror", metavar="URL", help="A folder that has the files under their own names.")
@click.option("-f", "--force", is_flag=True, help="Download again; it must be the same file.")
@quiet_option
def pull(names: tuple[str, ...], mirror: str | None, force: bool, quiet: bool) -> None:
    """Download the models of these NAMEs, check them, and keep them for use offline.

    A download that was cut goes on where it broke. Files are compared with the published SHA-256,
    or its published first digits; the whole digest is kept, and must be the same ever after.

    \b
    Examples:
      ncodec models pull encodec_24khz
      ncodec models pull dac_44khz --mirror https://example.org/weights
    """
    from ncodec.checkpoints import pull as pull_model
    from ncodec_cli.progress import BYTES, Progress

    for name in names:
        with Progress(name, unit=BYTES, quiet=quiet) as progress:
            info = pull_model(name, mirror=mirror, force=force, progress=progress)
        digest = info.notes.get("sha256", "")
        say(f"{name}: licence of the weights: {info.licence}; SHA-256 {digest}", quiet=quiet)


@models.command("import")
@click.argument("path", type=click.Path(exists=True), metavar="FILE")
@click.option("--name", help="Name to keep it under; not needed for known models.")
@click.option("--rate", type=click.IntRange(100), metavar="HZ", help="If the file lacks its rate.")
@click.option("--licence", help="Licence of the weights, to be kept with them.")
@force_option
@quiet_option
def import_command(
    *, path: str, name: str | None, rate: int | None, licence: str | None, force: bool, quiet: bool
) -> None:
    """Take in a checkpoint of EnCodec, AudioCraft, DAC or Mimi, or one of our own.

    FILE is a checkpoint or a folder with one, as from the Hugging Face hub. What it is is told from
    the names of its tensors. Nothing in it is run.

    \b
    Examples:
      ncodec models import encodec_24khz-d7cc33bc.th
      ncodec models import ./my-finetune --name mine
    """
    from ncodec.checkpoints import import_model

    taken = import_model(path, name, sample_rate=rate, licence=licence, force=force)
    say(f"{path}: {taken.layout}; kept as {taken.info.name} in {taken.path}", quiet=quiet)


@models.command()
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False))
@click.option(
    "--layout",
    type=click.Choice(["hf", "encodec", "dac", "ncodec"]),
    help="hf: Hugging Face; encodec, dac: the packages of that name; ncodec: our own. "
    "[default: hf where the family has it]",
)
@force_option
@quiet_option
def export(name: str, folder: str, layout: str | None, force: bool, quiet: bool) -> None:
    """Write model NAME into FOLDER as another tool reads it, with a model card.

    \b
    Examples:
      ncodec models export mine out/
      ncodec models export encodec_24khz out/ --layout encodec
    """
    from ncodec.checkpoints import export_model

    for path in export_model(name, folder, layout, force=force):
        say(str(path), quiet=quiet)


def _of_entry(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "summary": entry.summary,
        "family": entry.family,
        "licence": entry.licence,
        "here": False,
        "sources": [
            s.url + (f" (SHA-256 {s.sha256}...)" if s.sha256 else "") for s in entry.sources
        ],
        "config": dict(entry.config),
    }


def _of_info(info: ModelInfo, entry: Entry | None) -> dict[str, Any]:
    from ncodec.checkpoints import layouts_of

    return {
        "name": info.name,
        "summary": entry.summary if entry else "imported",
        "family": info.family,
        "licence": info.licence,
        "here": True,
        **({"notes": dict(info.notes)} if info.notes else {}),
        "exports": layouts_of(info.family),
        "config": dict(info.config),
    }


def _lines(value: object) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {item}" for key, item in value.items()] or [""]
    if isinstance(value, list):
        return [str(item) for item in value] or [""]
    return [
        {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    ]
