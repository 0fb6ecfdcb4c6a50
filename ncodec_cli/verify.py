"""`ncodec verify`: check whole files."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, BinaryIO

import click

from ncodec.errors import BadFileError
from ncodec_cli.batch import each_file
from ncodec_cli.common import clock, json_option, name_of, naming, open_input, quiet_option
from ncodec_cli.completing import ECDC


@click.command()
@click.argument("files", nargs=-1, required=True, type=ECDC, metavar="FILE...")
@json_option
@quiet_option
def verify(files: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Check that files are just as they were written, without the model.

    Reads every byte of each FILE (an .ecdc file, a folder of them, or - for a pipe) and compares
    all checks, totals and digests. The exit status is 0 if all are whole and 1 if any is not.

    \b
    Examples:
      ncodec verify talk.ecdc
      ncodec verify archive/ --quiet && echo all are whole
      ncodec verify talk.ecdc --json
    """

    def check(path: str) -> None:
        from ncodec_formats import verify

        with open_input(path) as file, naming(path):
            if _is_foreign(file):
                _check_foreign(path, file, as_json=as_json, quiet=quiet)
                return
            report = verify(file)
        if as_json:
            click.echo(json.dumps({"file": name_of(path), "ok": report.ok, **asdict(report)}))
        elif not quiet:
            click.echo(_text(path, report))
        if not report.ok:
            raise BadFileError(f"{name_of(path)}: damaged: {report.losses}")

    each_file(files, check)


def _is_foreign(file: BinaryIO) -> bool:
    """Tell `.ecdc` version 0 and `.dac` files, which need more than this package to be read."""
    if not file.seekable():
        return False
    head = file.read(6)
    file.seek(-len(head), 1)
    return head.startswith((b"ECDC\x00", b"\x93NUMPY"))


def _check_foreign(path: str, file: BinaryIO, *, as_json: bool, quiet: bool) -> None:
    from ncodec.containers import check

    known = check(file)
    if as_json:
        click.echo(json.dumps({"file": name_of(path), "ok": True, "known": known}))
    elif not quiet:
        click.echo(f"{name_of(path)}: {known}")


def _text(path: str, report: Any) -> str:
    if not report.ok:
        return "\n".join(f"{name_of(path)}: {problem}" for problem in report.problems)
    gone = f", {report.losses.gone} frames lost before a repair" if report.losses.gone else ""
    length = clock(report.seconds, digits=3)
    return f"{name_of(path)}: ok, {length} in {report.packets} packets{gone}"
