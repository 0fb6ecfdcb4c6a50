"""What the commands with sound devices share."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from ncodec.errors import ArgumentError
from ncodec.quiet import quiet_libraries
from ncodec_cli import common
from ncodec_cli.keys import Keys, keys
from ncodec_cli.line import Line

if TYPE_CHECKING:
    from ncodec.live.running import Running

input_option = click.option(
    "--input", "source", metavar="DEV",
    help="Microphone: number or part of the name, as `ncodec devices` lists them.",
)  # fmt: skip
output_option = click.option(
    "--output", "sink", metavar="DEV",
    help="Speaker: number or part of the name, as `ncodec devices` lists them.",
)  # fmt: skip
threads_option = click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, metavar="N",
    help="CPU threads of the model.",
)  # fmt: skip
duration_option = click.option(
    "--duration", type=common.SECONDS, metavar="TIME", help="Stop by itself: after 90, or 1:30."
)


def coding_options(command: common.F) -> common.F:
    """Add what every command that codes a microphone has."""
    for option in (
        input_option,
        common.beam_option,
        common.model_option,
        common.codebooks_option,
        common.bw_option,
    ):
        command = option(command)
    return command


def running_options(command: common.F) -> common.F:
    """Add what every command with sound devices has."""
    for option in (
        common.quiet_option,
        threads_option,
        common.precision_option,
        common.device_option,
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Console:
    """The terminal of a command that runs until it is told to stop."""

    line: Line
    keys: Keys

    def run(self, running: Running, hello: str, each: Callable[[], bool]) -> None:
        """Run until `each` returns False, called ten times a second, or until Ctrl-C."""
        try:
            with running:
                self.line.say(hello)
                running.wait(each)
        except KeyboardInterrupt:
            pass  # as good a way to end it as q


@contextmanager
def open_console(*, quiet: bool) -> Generator[Console]:
    """Give a line to write on and keys to read, undisturbed by what libraries print."""
    with quiet_libraries(), Line(quiet=quiet) as line, keys() as pressed:
        yield Console(line, pressed)


@contextmanager
def open_recording(path: str, force: bool) -> Generator[BinaryIO]:
    """Open a recording under its own name from the start, since it must survive a crash.

    Raises:
        ArgumentError: it exists and `force` is not set, or "-" is a terminal.
    """
    if path == "-":
        with common.open_output(path, force=force) as pipe:
            yield pipe
        return
    try:
        file = Path(path).open("wb" if force else "xb")  # noqa: SIM115
    except FileExistsError:
        raise ArgumentError(f"{path}: exists already (--force overwrites)") from None
    with file:
        yield file
