"""What the commands share: options, parameter types, inputs and outputs, progress."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import click

from ncodec import errors
from ncodec.errors import ArgumentError
from ncodec.files import atomic_output, same_file, spooled
from ncodec_cli import line, parameters
from ncodec_cli.completing import AnyPath, complete_models
from ncodec_cli.parameters import Between
from ncodec_cli.signals import output_open

if TYPE_CHECKING:
    from ncodec.models.base import CompressionModel

F = TypeVar("F", bound=Callable[..., Any])

PATH = AnyPath()
"""A path or "-". Shells complete it; whether it can be used, the command says."""

skip_existing_option = click.option(
    "--skip-existing", is_flag=True, help="Leave outputs that exist as they are; do the others."
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Name each file that is left out."
)
force_option = click.option("-f", "--force", is_flag=True, help="Overwrite files that exist.")
output_option = click.option(
    "-o", "--output", type=PATH, metavar="PATH", help="The output, instead of a last argument."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
result_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print what was done as JSON, a line for each file."
)
keep_going_option = click.option(
    "--keep-going", is_flag=True, help="Go on at damage: say what was lost and fill its time."
)
copy_damaged_option = click.option(
    "--keep-going", is_flag=True, help="Go on at damage: copy what is whole, as repair does."
)
model_option = click.option(
    "--model",
    metavar="NAME",
    help="Model name, or a checkpoint file. [default: ncodec_24khz]",
    shell_complete=complete_models,
)
file_model_option = click.option(
    "--model",
    metavar="NAME",
    help="Another model than the one that the file names.",
    shell_complete=complete_models,
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["float32", "bf16"]),
    default="float32",
    show_default=True,
    help="What the model computes in: bf16 is faster and less exact; any file decodes in either.",
)
threads_option = click.option(
    "--threads", type=Between(1), metavar="N", help="CPU threads of one file's model."
)
jobs_option = click.option(
    "-j",
    "--jobs",
    type=Between(1),
    metavar="N",
    help="Files worked on at once. [default: the number of cores]",
)


def batch_options(command: F) -> F:
    """Add what every command has that makes files from files."""
    for option in (
        quiet_option, verbose_option, force_option, skip_existing_option, jobs_option
    ):  # fmt: skip
        command = option(command)
    return command


def _bitrate_option(told: str) -> Callable[[F], F]:
    names = ("-b", "--bw", "--bitrate")
    return click.option(*names, type=parameters.KBPS, metavar="KBPS", help=told)


def _codebooks_option(told: str) -> Callable[[F], F]:
    return click.option("--codebooks", type=Between(1), metavar="N", help=told)


bw_option = _bitrate_option("Bitrate of the whole file; the most codebooks that fit are used.")
file_rate_option = click.option(
    "--file-rate",
    type=parameters.KBPS,
    metavar="KBPS",
    help="What the file shall average, all of its bytes counted: each packet has as many codebooks "
    "as serve that best, at most those of --bw.",
)
codebooks_option = _codebooks_option("Number of codebooks, instead of --bw.")
kept_bw_option = _bitrate_option("Use only as many of the file's codebooks as fit in this bitrate.")
kept_codebooks_option = _codebooks_option("Use only so many of the file's codebooks.")

_LEVELS = ("fast", "good", "better", "best")


def _effort_option(*levels: str) -> Callable[[F], F]:
    return click.option(
        "--effort",
        type=click.Choice(levels),
        help="How well to search for codes: slower levels sound better at the same bitrate. "
        "[default: fast]",
    )


_beam_option = click.option(
    "--beam", type=Between(1, 32), hidden=True, help="Sums to follow; from before --effort."
)


def effort_options(command: F) -> F:
    """Add --effort, for files."""
    return _effort_option(*_LEVELS, "extreme")(_beam_option(command))


def live_effort_options(command: F) -> F:
    """Add --effort, where nothing may wait for seconds of what follows."""
    return _effort_option(*_LEVELS)(_beam_option(command))


def coding_model(options: dict[str, Any], default: str | None = None) -> CompressionModel:
    """Load the model that --model, --device, --precision and --effort ask for, to code with."""
    if options["beam"] is not None and options["effort"] is not None:
        raise click.UsageError("--beam and --effort: only one of them can be given")
    if not options["quiet"]:
        line.show(f"loading {options['model'] or default or 'the model'}")
    try:
        from ncodec.checkpoints.loading import find_model
        from ncodec.runtime import pick_device

        device, precision = pick_device(options["device"]), options["precision"]
        model = find_model(options["model"], default, device, precision)
    finally:
        line.clear()
    if options["effort"] is not None:
        from ncodec.codec.options import EFFORTS

        model.set_beam(EFFORTS[options["effort"]].width)
    elif options["beam"] is not None:
        model.set_beam(options["beam"])
    return model


def raw_options(command: F) -> F:
    """Add --raw, --rate and --channels: samples without a header."""
    for option in (
        click.option(
            "--channels", type=Between(1, 8), metavar="N", help="Channels of --raw samples."
        ),
        click.option(
            "--rate",
            type=parameters.Rate(),
            metavar="KBPS|HZ",
            help="As --file-rate; with --raw the sample rate, in Hz.",
        ),
        click.option(
            "--raw",
            type=click.Choice(["s16", "f32"]),
            help="Samples without a header, little-endian and interleaved.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def open_input(path: str) -> Generator[BinaryIO]:
    """Open a path for reading; "-" is standard input."""
    if path == "-":
        check_stream("stdin")
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        try:
            yield file
        except OSError as error:
            if error.errno in (errno.EIO, errno.EISDIR, errno.ESTALE):  # of reading, not writing
                error.filename = error.filename or path
            raise


@contextmanager
def open_seekable(path: str) -> Generator[BinaryIO]:
    """Open a path for reading in any order; a pipe is copied to a temporary file first."""
    with open_input(path) as file, spooled(file) as seekable:
        yield seekable


def check_stream(name: str) -> None:
    """Refuse to read data from the keyboard, and to write it to a screen or to nowhere."""
    called = {"stdin": "standard input", "stdout": "standard output"}[name]
    if line.is_closed(name):
        raise ArgumentError(f"{called} is closed; give a file name")
    if getattr(sys, name).buffer.isatty():
        raise ArgumentError(f"{called} is a terminal; give a file name, or a pipe")


def name_of(path: str) -> str:
    """Return how messages call an input."""
    return "standard input" if path == "-" else path


def file_size(path: str) -> int | None:
    """Return the size of a file; None for a pipe or a device."""
    try:
        return Path(path).stat().st_size if path != "-" and Path(path).is_file() else None
    except OSError:
        return None


def name_of_output(path: str) -> str:
    """Return how messages call an output."""
    return "standard output" if path == "-" else path


def naming(path: str) -> AbstractContextManager[None]:
    """Let errors of a format say which input they mean."""
    return errors.naming(name_of(path))


@contextmanager
def open_output(path: str, *, force: bool, inputs: tuple[str, ...] = ()) -> Generator[BinaryIO]:
    """Open an output that is whole or absent; "-" is standard output.

    Raises:
        ArgumentError: it exists, is one of `inputs`, or is a terminal.
    """
    if path == "-":
        check_stream("stdout")
        yield cast(BinaryIO, _Flowing(sys.stdout.buffer))
        sys.stdout.buffer.flush()
        return
    for source in inputs:
        if source != "-" and same_file(source, path):
            raise ArgumentError(f"{path}: is the input; the output must be another file")
    with output_open(), atomic_output(path, force=force) as file:
        yield file


class _Flowing:
    """Standard output whose reader has each packet as soon as it is made."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: bytes) -> int:
        written = self._stream.write(data)
        self._stream.flush()
        return written


def say_made(
    source: str,
    target: str,
    texts: Sequence[str],
    fields: dict[str, Any],
    options: dict[str, Any],
    *,
    single: bool = True,
) -> None:
    """Say in one line what was made of a file; with --json print an object as well.

    Args:
        source: path of the input, or "-".
        target: path of the output, or "-".
        texts: what a person wants to know, what matters most first.
        fields: what a program wants to know.
        options: quiet and as_json.
        single: whether it is one file, or one of several.
    """
    if options["as_json"]:
        line.put_json({"file": name_of(source), "output": target, **fields})
    said = line.result(name_of(source), name_of_output(target), texts, single=single)
    line.say(said, quiet=options["quiet"] or options["as_json"])


def refuse_json_to_pipe(options: dict[str, Any], target: str) -> None:
    """Keep objects for programs apart from a file's bytes.

    Raises:
        click.UsageError: both would go to standard output.
    """
    if options["as_json"] and target == "-":
        raise click.UsageError("--json prints to standard output: not together with output -")


def from_start(time: float | None, seconds: float | None) -> float | None:
    """Return a time from the start for one that may be told from the end, of a file so long.

    Raises:
        ArgumentError: it is told from the end of a pipe.
    """
    if time is None or time >= 0:
        return time
    if seconds is None:
        raise ArgumentError(f"{time:g} s: a pipe's end is not known beforehand; give a file")
    return max(seconds + time, 0.0)


def use_threads(threads: int | None, workers: int = 1) -> None:
    """Set how many CPU threads torch uses; the only place that does.

    Without a number, those of the cores that each of so many files at once has to itself.
    """
    import torch

    if threads is None:
        threads = max(1, min(torch.get_num_threads(), usable_cores() // workers))
    torch.set_num_threads(threads)


def usable_cores() -> int:
    """Return how many cores this process may use: fewer than the machine has in a container."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # macOS, Windows
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max" in it
        return cores
