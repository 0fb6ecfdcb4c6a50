"""`ncodec tag`: show and change tags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from ncodec_cli.batch import each_file
from ncodec_cli.common import (
    copy_damaged_option,
    json_option,
    name_of,
    naming,
    open_input,
    open_output,
    open_seekable,
    quiet_option,
)
from ncodec_cli.completing import ECDC
from ncodec_cli.copying import damage_told
from ncodec_cli.line import put, put_json, say, say_error
from ncodec_cli.parameters import KEY_VALUE


@click.command()
@click.argument("files", nargs=-1, required=True, type=ECDC, metavar="FILE...")
@click.option(
    "--set",
    "values",
    multiple=True,
    type=KEY_VALUE,
    metavar="KEY=VALUE",
    help="Give KEY this value only. Repeatable.",
)
@click.option(
    "--add",
    "added",
    multiple=True,
    type=KEY_VALUE,
    metavar="KEY=VALUE",
    help="Add a value beside those that KEY has. Repeatable.",
)
@click.option("--remove", "removed", multiple=True, metavar="KEY", help="Take KEY off. Repeatable.")
@click.option("--clear", is_flag=True, help="Take all tags off first.")
@copy_damaged_option
@json_option
@quiet_option
def tag(
    *,
    files: tuple[str, ...],
    values: tuple[tuple[str, str], ...],
    added: tuple[tuple[str, str], ...],
    removed: tuple[str, ...],
    clear: bool,
    keep_going: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show the tags of .ecdc files, or change them.

    Files are changed in place: a new one takes the old one's place when it is whole (another hard
    link to the old one keeps the old tags). With - as FILE the changed file goes from standard
    input to standard output. Keys are those of Vorbis comments (title, artist, album, date, ...),
    with no regard to case. Links of a chain share the change.

    \b
    Examples:
      ncodec tag talk.ecdc
      ncodec tag talk.ecdc --set artist=Ada --set title="On engines"
      ncodec tag talk.ecdc --remove comment
      ncodec tag - --clear < talk.ecdc > plain.ecdc
    """
    changes = _Changes(values, added, removed, clear)
    if changes and as_json:
        raise click.UsageError("--json shows tags: not together with changes")

    def change(path: str) -> None:
        links = 1 if path == "-" else Path(path).stat().st_nlink
        changes.make(path, keep_going=keep_going, quiet=quiet)
        say(f"{name_of(path)}: {changes}", quiet=quiet)
        if links > 1:
            kept = "its other name keeps" if links == 2 else f"its {links - 1} other names keep"
            say_error(f"{path}: {kept} the old tags: the file is a new one", "note", quiet=quiet)

    def show(path: str) -> None:
        from ncodec_formats import info

        with open_seekable(path) as source, naming(path):
            tags = [tag for link in info(source).get("links", []) for tag in link["tags"]]
        if as_json:
            put_json({"file": name_of(path), "tags": tags})
            return
        prefix = f"{name_of(path)}: " if len(files) > 1 else ""
        for key, value in tags:
            put(f"{prefix}{key}={value}")

    each_file(files, change if changes else show, as_json=as_json)


@dataclass(frozen=True)
class _Changes:
    """What is to be done with the tags of each file."""

    values: tuple[tuple[str, str], ...]
    added: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]
    clear: bool

    def __bool__(self) -> bool:
        return bool(self.values or self.added or self.removed or self.clear)

    def __str__(self) -> str:
        parts = ["all tags taken off"] if self.clear else []
        parts += [f"{key}={value} set" for key, value in self.values]
        parts += [f"{key}={value} added" for key, value in self.added]
        parts += [f"{key} taken off" for key in self.removed]
        return ", ".join(parts)

    def make(self, path: str, *, keep_going: bool, quiet: bool) -> None:
        """Write the file anew; the source is closed before: Windows wants it so."""
        from ncodec_formats import set_tags

        with (
            open_output(path, force=True) as target,
            open_input(path) as source,
            naming(path),
            damage_told(path, keep_going=keep_going, quiet=quiet) as report,
        ):
            set_tags(
                source,
                target,
                () if self.clear else None,
                add=self.values + self.added,
                remove={*self.removed, *(key for key, _ in self.values)},
                keep_going=keep_going,
                report=report,
            )
