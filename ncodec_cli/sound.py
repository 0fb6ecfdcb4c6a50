"""What the commands with sound devices share."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import click

from ncodec.errors import ArgumentError, NcodecError
from ncodec.files import check_folder
from ncodec.quiet import quiet_libraries
from ncodec_cli import common
from ncodec_cli.keys import Keys, keys
from ncodec_cli.line import Line, say
from ncodec_cli.parameters import SECONDS, Between
from ncodec_cli.plan import refuse_sound_name

if TYPE_CHECKING:
    from ncodec.audio import Samples
    from ncodec.live.running import Running

T = TypeVar("T")


class Renamed(click.Option):
    """An option that is still taken under its older name, which help does not show."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the columns of the help, of the first name."""
        shown = copy(self)
        shown.opts = self.opts[:1]
        return click.Option.get_help_record(shown, ctx)


# Elsewhere --input and --output would be files.
microphone_option = click.option(
    "--microphone", "--input", "source", cls=Renamed, metavar="DEV",
    help="Number or part of the name, as `ncodec devices` lists them.",
)  # fmt: skip
speaker_option = click.option(
    "--speaker", "--output", "sink", cls=Renamed, metavar="DEV",
    help="Number or part of the name, as `ncodec devices` lists them.",
)  # fmt: skip
threads_option = click.option(
    "--threads", type=Between(1), default=1, show_default=True, metavar="N",
    help="CPU threads of the model.",
)  # fmt: skip
duration_option = click.option(
    "--duration", type=SECONDS, metavar="TIME", help="Stop by itself: after 90, or 1:30."
)


def coding_options(command: common.F) -> common.F:
    """Add what every command that codes a microphone has."""
    for option in (
        microphone_option,
        common.live_effort_options,
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


class Made:
    """Sound that comes while it is made, for `ncodec.live.player.Player`."""

    packet_seconds = 1.0
    seconds: float | None = None

    def __init__(self, sample_rate: int, channels: int) -> None:
        """Wait for `put`."""
        self.sample_rate, self.channels = sample_rate, channels
        self._blocks = queue.Queue["Samples | None"]()

    def put(self, samples: Samples | None) -> None:
        """Take the next samples `[C, T]`, or None at the end."""
        self._blocks.put(samples)

    def __iter__(self) -> Iterator[Samples]:
        """Return the blocks as they come."""
        while (samples := self._blocks.get()) is not None:
            yield samples


def play_while(
    sample_rate: int, channels: int, work: Callable[[Callable[[Samples], None]], T]
) -> T:
    """Do a work that makes sound, and play that sound meanwhile and to its end.

    `work` is called with what takes the samples `[C, T]`, and its result returned.

    Raises:
        DeviceError: There is no speaker.
    """
    from ncodec.live.devices import ready_device
    from ncodec.live.player import Player

    with quiet_libraries():
        device = ready_device(None, "output")
        made = Made(sample_rate, channels)
        player = Player([os.devnull], lambda _file, _start: made, device)
        with player:
            try:
                done = work(made.put)
            finally:
                made.put(None)
            player.wait(lambda: not player.done)
            player.drain()
    return done


@contextmanager
def open_console(*, quiet: bool) -> Generator[Console]:
    """Give a line to write on and keys to read, undisturbed by what libraries print."""
    with quiet_libraries(), Line(quiet=quiet) as line, keys() as pressed:
        yield Console(line, pressed)


def check_recording(path: str, force: bool) -> None:
    """Refuse what `open_recording` would refuse, before a device is asked or a model loaded.

    Raises:
        ArgumentError: it exists and `force` is not set, is a folder, or "-" is a terminal.
        OSError: there is no such folder.
    """
    if path != "-":
        refuse_sound_name(path, "")
    check_new_file(path, force)


def check_new_file(path: str, force: bool) -> None:
    """Refuse an output that could not be opened.

    Raises:
        ArgumentError: it exists and `force` is not set, is a folder, or "-" is a terminal.
        OSError: there is no such folder.
    """
    if path == "-":
        common.check_stream("stdout")
        return
    target = Path(path)
    if target.is_dir():
        raise ArgumentError(f"{path}: is a folder; the output must be a file")
    check_folder(path)
    if target.exists() and not force:
        raise ArgumentError(f"{path}: exists already (force=True overwrites)")


@contextmanager
def open_recording(path: str, force: bool) -> Generator[BinaryIO]:
    """Open a recording under its own name from the start, since it must survive a crash.

    Over an old one it is written beside it, as PATH.part, and takes its place when it is whole; if
    it ends by an error, it stays there.

    Raises:
        ArgumentError: it exists and `force` is not set, or "-" is a terminal.
    """
    check_recording(path, force)
    if path == "-":
        with common.open_output(path, force=force) as pipe:
            yield pipe
        return
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a named pipe
        with target.open("wb") as file:
            yield file
        return
    written = target.with_name(target.name + ".part") if target.exists() else target
    try:
        file = written.open("xb")
    except FileExistsError:
        raise ArgumentError(
            f"{written}: is there, perhaps of a recording that was cut off: move it away"
        ) from None
    try:
        with file:
            yield file
    except Exception:
        _keep(written, target)
        raise
    if written != target:
        written.replace(target)


def _keep(written: Path, target: Path) -> None:
    """Keep what was recorded before an error; nothing stays of nothing."""
    from ncodec_formats import info

    with written.open("rb") as file:
        try:
            seconds: float = info(file)["seconds"]
        except NcodecError:
            seconds = 0.0
    if seconds == 0:
        written.unlink()
    elif written != target:
        say(f"{target}: stays as it was; what was recorded before the error is in {written}")
