"""`ncodec verify`: check whole files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ncodec.errors import BadFileError, NcodecError, UnsupportedVersionError, counted
from ncodec_cli.batch import described, each_file
from ncodec_cli.common import json_option, name_of, naming, open_input, quiet_option
from ncodec_cli.completing import CODED
from ncodec_cli.copying import watched
from ncodec_cli.line import put, put_json, say_error
from ncodec_cli.progress import BYTES, Progress, clock

if TYPE_CHECKING:
    from ncodec_formats import Losses, Report


@click.command()
@click.argument("files", nargs=-1, required=True, type=CODED, metavar="FILE...")
@json_option
@quiet_option
def verify(files: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Check that files are just as they were written, without the model.

    Reads every byte of each FILE (an .ecdc file, a folder of them, or - for a pipe) and compares
    all checks, totals and digests; other files of codes have none, and are read to their end. The
    exit status is 0 if all are whole, 1 if any is damaged, and 2 if any could not be read: it is
    missing, closed to you, or of a newer version. With --json each file is a line with an object.

    \b
    Examples:
      ncodec verify talk.ecdc
      ncodec verify archive/ --quiet && echo all are whole
      ncodec verify talk.ecdc --json
    """
    unreadable = 0

    def check(path: str) -> None:
        nonlocal unreadable
        try:
            lost = _check(path, as_json=as_json, quiet=quiet)
        except (NcodecError, OSError) as error:
            unreadable += isinstance(error, (OSError, UnsupportedVersionError))
            if as_json:
                put_json({"file": name_of(path), "ok": False, "error": described(error)})
            raise
        if lost is not None:
            raise BadFileError(f"{name_of(path)}: damaged: {lost}")

    try:
        each_file(files, check)
    except (NcodecError, OSError) as error:
        if not unreadable:
            raise
        say_error(described(error))
        raise click.exceptions.Exit(2) from error


def _check(path: str, *, as_json: bool, quiet: bool) -> Losses | None:
    """Check a file and tell what was found; return what was lost if it is not whole."""
    from ncodec.api.operations import verify_file

    name = name_of(path)
    with (
        open_input(path) as file,
        naming(path),
        Progress(Path(path).name, unit=BYTES, quiet=quiet) as progress,
    ):
        report = verify_file(watched(file, progress))
    if as_json:
        put_json({"file": name, "ok": report.ok, **asdict(report)})
    elif not quiet:
        put(_text(path, report))
    return None if report.ok else report.losses


def _text(path: str, report: Report) -> str:
    if not report.ok:
        return "\n".join(f"{name_of(path)}: {problem}" for problem in report.problems)
    if report.known:
        return f"{name_of(path)}: {report.known}"
    gone = report.losses.gone
    before = f", {counted(gone, 'frame')} lost before a repair" if gone else ""
    length = clock(report.seconds, digits=3)
    return f"{name_of(path)}: ok, {length} in {counted(report.packets, 'packet')}{before}"
