"""What the commands with sound devices share."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from ncodec.errors import ArgumentError
from ncodec_cli.common import open_output

input_option = click.option(
    "--input", "source", metavar="DEV", help="Input device: its number or part of its name."
)
output_option = click.option(
    "--output", "sink", metavar="DEV", help="Output device: its number or part of its name."
)


@contextmanager
def quiet_libraries() -> Generator[None]:
    """Keep ALSA's and PortAudio's own chatter off standard error; ours goes on to it.

    When a device is unplugged they print a dozen lines, and one clear line is wanted.
    NCODEC_DEBUG=1 lets them speak.
    """
    if os.environ.get("NCODEC_DEBUG"):
        yield
        return
    sys.stderr.flush()
    ours = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    before = sys.stderr
    os.dup2(nowhere, 2)
    try:
        with os.fdopen(os.dup(ours), "w", buffering=1, encoding="utf-8", errors="replace") as file:
            sys.stderr = file
            yield
    finally:
        sys.stderr = before
        os.dup2(ours, 2)
        os.close(ours)
        os.close(nowhere)


@contextmanager
def open_recording(path: str, force: bool) -> Generator[BinaryIO]:
    """Open a recording under its own name from the start, since it must survive a crash.

    Raises:
        ArgumentError: it exists and `force` is not set, or "-" is a terminal.
    """
    if path == "-":
        with open_output(path, force=force) as pipe:
            yield pipe
        return
    try:
        file = Path(path).open("wb" if force else "xb")  # noqa: SIM115
    except FileExistsError:
        raise ArgumentError(f"{path}: exists already (--force overwrites)") from None
    with file:
        yield file
