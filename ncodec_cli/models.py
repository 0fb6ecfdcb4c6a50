"""`ncodec models`: list, show, pull, import and export models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ncodec.errors import CheckpointError
from ncodec_cli.common import force_option, json_option, quiet_option
from ncodec_cli.completing import complete_known, complete_models, complete_stored
from ncodec_cli.line import put, say
from ncodec_cli.parameters import Between

if TYPE_CHECKING:
    from ncodec.checkpoints import Entry, ModelInfo, Source


_ALIASES = {"delete": "rm", "download": "pull", "ls": "list", "remove": "rm"}


class _Models(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, [_ALIASES.get(args[0], args[0]), *args[1:]])


@click.group(cls=_Models)
def models() -> None:
    """List, show, fetch, import and export models.

    A NAME is one that list shows, one of the Hugging Face hub (facebook/encodec_24khz), or one that
    you gave when you imported.
    """


@models.command("list", short_help="Show the models that are known, and which are here.")
@json_option
def list_models(as_json: bool) -> None:
    """List the models that are known, their licences, and which are on this machine.

    "here?" marks one that was taken in under this name from a file that is not known to be the
    published one; "+" a licence of which show tells more.

    \b
    Examples:
      ncodec models list
      ncodec models list --json
    """
    rows = [*_known_rows(), *_earlier_rows(), *_imported_rows()]
    if as_json:
        put(json.dumps(rows))
        return
    width = min(16, max(len(row["name"]) for row in rows))
    put(f"{'name':<{width}}         {'licence':<12}  what")
    for row in rows:
        doubtful = row["known"] and not row["published"]
        state = ("here?" if doubtful else "here") if row["here"] else ""
        licence, more = row["licence"].partition(" (")[::2]
        licence += "+" if more else ""
        name = row["name"]
        if len(name) > width:
            put(name)
            name = ""
        put(f"{name:<{width}}  {state:<5}  {licence:<12}  {row['summary']}")


def _known_rows() -> Iterator[dict[str, Any]]:
    from ncodec.checkpoints import known, stored_names

    stored = stored_names()
    for entry in known():
        info = _info(entry.name) if entry.name in stored else None
        yield {
            "name": entry.name,
            "here": entry.embedded or entry.name in stored,
            "known": True,
            "published": info.is_published if info else entry.embedded,
            "licence": info.licence if info else entry.licence,
            "summary": entry.summary,
        }


def _earlier_rows() -> Iterator[dict[str, Any]]:
    from ncodec.checkpoints.cache import earlier_weights

    for path in earlier_weights():
        yield {
            "name": path.stem,
            "here": True,
            "known": True,
            "published": True,
            "licence": "MIT",
            "summary": f"what {path.stem[:-9]} was before: plays files made then",
        }


def _imported_rows() -> Iterator[dict[str, Any]]:
    from ncodec.checkpoints import known, stored_names

    names = {entry.name for entry in known()}
    for name in stored_names():
        if name not in names:
            info = _info(name)
            summary = f"imported; family {info.family}" if info else "cannot be read"
            licence = info.licence if info else "unknown"
            yield {
                "name": name,
                "here": True,
                "known": False,
                "published": False,
                "licence": licence,
                "summary": summary,
            }


def _info(name: str) -> ModelInfo | None:
    """Return what a model that is here says of itself; None if its file is damaged."""
    from ncodec.checkpoints import model_path, read_model_info

    try:
        return read_model_info(model_path(name))
    except CheckpointError:
        return None


@models.command(short_help="Show all that is known of a model.")
@click.argument("name", shell_complete=complete_models)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show all that is known of a model: NAME, or the path of a model file.

    \b
    Examples:
      ncodec models show encodec_24khz
      ncodec models show ./mine.safetensors --json
    """
    from ncodec.checkpoints import find, lookup, read_model_info
    from ncodec.checkpoints.registry import REGISTRY, canonical

    entry = REGISTRY.get(canonical(name))
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
        put(json.dumps(fields))
        return
    for key, value in fields.items():
        for i, line in enumerate(_lines(value)):
            put(f"{key if i == 0 else '':<10} {line}")


@models.command(short_help="Download models and keep them for use offline.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_known)
@click.option(
    "--mirror", metavar="URL", help="A folder or address that has the files under their own names."
)
@click.option("-f", "--force", is_flag=True, help="Download again; it must be the same file.")
@quiet_option
def pull(names: tuple[str, ...], mirror: str | None, force: bool, quiet: bool) -> None:
    """Download the models of these NAMEs, check them, and keep them for use offline.

    A download that was cut goes on where it broke. What the Hugging Face hub's cache has is taken
    from there; HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE and http_proxy, https_proxy are
    respected. Files are compared with the published SHA-256, or its published first digits; the
    whole digest is kept, and must be the same ever after.

    \b
    Examples:
      ncodec models pull encodec_24khz
      ncodec models pull dac_44khz --mirror https://example.org/weights
    """
    from ncodec.checkpoints import canonical
    from ncodec.checkpoints import pull as pull_model
    from ncodec_cli.progress import BYTES, Progress

    for name in names:
        try:
            with Progress(name, unit=BYTES, quiet=quiet) as progress:
                info = pull_model(name, mirror=mirror, force=force, progress=progress)
        except CheckpointError as error:
            *sources, last = str(error).splitlines()
            for line in sources:
                say(f"ncodec: {line}")
            raise CheckpointError(last) from error
        digest = info.notes.get("sha256", "")
        checked = "" if info.is_published else ", which is not known to be the published file's"
        say(
            f"{canonical(name)}: licence of the weights: {info.licence}; SHA-256 {digest}{checked}",
            quiet=quiet,
        )


@models.command(short_help="Take pulled or imported models off this machine.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_stored)
@quiet_option
def rm(names: tuple[str, ...], quiet: bool) -> None:
    """Take the models of these NAMEs off this machine.

    \b
    Examples:
      ncodec models rm encodec_24khz
      ncodec models rm mine other
    """
    from ncodec.checkpoints import canonical, remove

    for name in names:
        freed = remove(name)
        say(f"{canonical(name)}: removed, {freed / 1e6:.1f} MB freed", quiet=quiet)


@models.command("import", short_help="Take in a checkpoint of another tool, or of training.")
@click.argument("path", type=click.Path(exists=True), metavar="FILE")
@click.option(
    "--name",
    metavar="NAME",
    help="Name to keep it under. [default: the published file's, or the one in the file]",
)
@click.option("--rate", type=Between(100), metavar="HZ", help="If the file lacks its rate.")
@click.option("--licence", metavar="WORDS", help="Licence of the weights, to be kept with them.")
@force_option
@quiet_option
def import_command(
    *, path: str, name: str | None, rate: int | None, licence: str | None, force: bool, quiet: bool
) -> None:
    """Take in a checkpoint of EnCodec, AudioCraft, MusicGen, DAC, Mimi or HiFi-GAN, or our own.

    FILE is a checkpoint or a folder with one, as from the Hugging Face hub, or tables that predict
    a model's codes (.tables); those beside a checkpoint come along. What it is is told from the
    names of its tensors. Nothing in it is run. A known model's name and licence are given by
    themselves only to a file whose SHA-256 is the published one.

    \b
    Examples:
      ncodec models import encodec_24khz-d7cc33bc.th
      ncodec models import runs/mine/model.safetensors
      ncodec models import ./my-finetune --name mine
    """
    from ncodec.checkpoints import import_model, keep_tables
    from ncodec.checkpoints.registry import REGISTRY
    from ncodec.checkpoints.tables import SUFFIX

    if path.endswith(SUFFIX):
        kept, told = keep_tables(path)
        say(
            f"{path}: tables for {told.model} ({told.fingerprint[:12]}); kept in {kept}",
            quiet=quiet,
        )
        return
    taken = import_model(path, name, sample_rate=rate, licence=licence, force=force)
    kept = taken.info.name
    unsure = kept in REGISTRY and not taken.info.is_published
    doubt = f" (it is not known to be the published {kept})" if unsure else ""
    say(f"{path}: {taken.layout}; kept as {kept}{doubt} in {taken.path}", quiet=quiet)
    if taken.codec is not None:
        say(f"{path}: its codec; kept as {taken.codec}", quiet=quiet)
        say(f"{kept}: licence of the weights: {taken.info.licence}", quiet=quiet)
    for tables in taken.tables:
        say(f"{path}: tables that predict its codes; kept in {tables}", quiet=quiet)


@models.command(short_help="Write a model as another tool reads it, with a card.")
@click.argument("name", shell_complete=complete_models)
@click.argument("folder", type=click.Path(file_okay=False))
@click.option(
    "--layout",
    type=click.Choice(["hf", "encodec", "audiocraft", "dac", "hifigan", "ncodec"]),
    help="hf: Hugging Face; encodec, audiocraft, dac, hifigan: the packages of that name; ncodec: "
    "our own. "
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
        "sources": [text for source in entry.sources for text in _of_source(source)],
        "config": dict(entry.config),
    }


def _of_source(source: Source) -> Iterator[str]:
    """Yield an address, and what the file there is checked by."""
    yield source.url
    if source.repository:
        yield "  SHA-256 as the hub tells it"
    elif source.sha256:
        yield f"  SHA-256 {source.sha256}" + ("..." if len(source.sha256) < 64 else "")
    else:
        yield "  no SHA-256 is published"


def _tables_of(info: ModelInfo) -> list[str]:
    """Say which tables predict the codes of a model, the one that codes first."""
    from ncodec.checkpoints import tables_files

    return [
        f"{told.hash[:12]}: {told.layers} layers, {file}"
        for file, told in tables_files(info.notes.get("fingerprint"), info.name)
    ]


def _of_info(info: ModelInfo, entry: Entry | None) -> dict[str, Any]:
    from ncodec.checkpoints import layouts_of

    return {
        "name": info.name,
        "summary": entry.summary if entry else f"imported; family {info.family}",
        "family": info.family,
        "licence": info.licence,
        "here": True,
        "published": info.is_published or (entry is not None and entry.embedded),
        **({"notes": dict(info.notes)} if info.notes else {}),
        **({"tables": tables} if (tables := _tables_of(info)) else {}),
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
