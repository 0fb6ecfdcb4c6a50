"""What the commands share that copy packets: no model, and damage refused unless told otherwise."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedReader
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from ncodec.progress import Progress
from ncodec_cli.common import (
    F,
    copy_damaged_option,
    force_option,
    name_of,
    naming,
    open_input,
    open_output,
    output_option,
    quiet_option,
    result_json_option,
)
from ncodec_cli.line import say
from ncodec_cli.plan import refuse_sound_name

if TYPE_CHECKING:
    from ncodec_formats import Report


@contextmanager
def damage_told(path: str, *, keep_going: bool, quiet: bool = False) -> Generator[Report]:
    """Give the report that copying packets fills; say what was lost, or how to go on without it."""
    from ncodec_formats import Report
    from ncodec_formats.errors import DamageError

    report = Report()
    try:
        yield report
    except DamageError as error:
        raise DamageError(f"{error} (--keep-going copies what is whole)") from error
    if keep_going and report.losses:
        say(f"{name_of(path)}: {report.losses}", quiet=quiet)


class _Watched:
    """A file that tells how much of it has been read, one byte after the other.

    Whoever reads packets does so by `read1`, and by `read` what stands elsewhere.
    """

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file, self._progress = file, progress
        self._size = os.fstat(file.fileno()).st_size if file.seekable() else None
        self._done, self._in_pieces = 0, False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        return data if self._in_pieces else self._told(data)

    def read1(self, size: int = -1) -> bytes:
        self._in_pieces = True
        return self._told(cast(BufferedReader, self._file).read1(size))

    def _told(self, data: bytes) -> bytes:
        self._done += len(data)
        self._progress(self._done, self._size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def watched(file: BinaryIO, progress: Progress) -> BinaryIO:
    """Return the file, with `progress` told of the bytes that are read of it."""
    try:
        return cast(BinaryIO, _Watched(file, progress))
    except (OSError, ValueError):  # no file of the system's
        return file


@contextmanager
def copying(
    source: str, target: str, options: dict[str, Any], progress: Progress
) -> Generator[tuple[BinaryIO, BinaryIO, Report]]:
    """Open what packets are copied from and to, and give the report of what was damaged."""
    with (
        open_input(source) as file,
        open_output(target, force=options["force"], inputs=(source,)) as out,
        naming(source),
        damage_told(source, keep_going=options["keep_going"], quiet=options["quiet"]) as report,
    ):
        yield watched(file, progress), out, report


def split_output(paths: tuple[str, ...], output: str | None) -> tuple[tuple[str, ...], str]:
    """Return the inputs and the output, which is the last path unless `output` is given.

    Raises:
        click.UsageError: there are too few paths.
    """
    if output is None:
        paths, output = paths[:-1], paths[-1]
        refuse_sound_name(output)
    if not paths:
        raise click.UsageError("Missing argument 'OUTPUT'.")
    return paths, output


def copy_options(command: F) -> F:
    """Add what commands have that copy packets from files to one file."""
    for option in (quiet_option, result_json_option, force_option, copy_damaged_option,
                   output_option):  # fmt: skip
        command = option(command)
    return command
