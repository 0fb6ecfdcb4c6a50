"""The `ncodec` command: a table of commands, and what every error becomes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from ncodec import __version__
from ncodec.errors import NcodecError
from ncodec_cli.lazy import CLOSED_PIPE, LazyGroup

COMMANDS = {
    "compress": ("ncodec_cli.compress:compress", "Compress audio to .ecdc."),
    "decompress": ("ncodec_cli.decompress:decompress", "Decompress .ecdc to audio."),
    "info": ("ncodec_cli.info:info", "Show what a file holds."),
    "verify": ("ncodec_cli.verify:verify", "Check a whole file, without the model."),
    "peel": ("ncodec_cli.peel:peel", "Lower the bitrate by dropping codebooks."),
    "cut": ("ncodec_cli.cut:cut", "Copy a stretch of time."),
    "cat": ("ncodec_cli.cat:cat", "Join files end to end."),
    "tag": ("ncodec_cli.tag:tag", "Show or change tags."),
    "repair": ("ncodec_cli.repair:repair", "Save what is whole in a damaged file."),
    "convert": ("ncodec_cli.convert:convert", "Change between .ecdc versions, .dac and arrays."),
    "play": ("ncodec_cli.play:play", "Play a file on the speakers."),
    "record": ("ncodec_cli.record:record", "Record from the microphone."),
    "live": ("ncodec_cli.live:live", "Hear the codec on the microphone, at once."),
    "devices": ("ncodec_cli.devices:devices", "List sound devices."),
    "models": ("ncodec_cli.models:models", "List, fetch, import and export models."),
    "train": ("ncodec_cli.train:train", "Train a model."),
    "bench": ("ncodec_cli.bench:bench", "Measure quality, bitrate and speed."),
    "selftest": ("ncodec_cli.selftest:selftest", "Check this installation."),
    "completion": ("ncodec_cli.completion:completion", "Print shell completion code."),
}
# What users of other codecs type first.
ALIASES = {"encode": "compress", "enc": "compress", "decode": "decompress", "dec": "decompress"}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    aliases=ALIASES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="ncodec", message="%(prog)s %(version)s")
def cli() -> None:
    """Compress speech and music with neural codecs, in files and streams.

    \b
      ncodec compress in.wav out.ecdc --bw 6
      ncodec decompress out.ecdc back.wav
      ncodec info out.ecdc
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run; every error is one line on standard error and an exit status, never a traceback.

    Status 0 is success, 1 an error, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM, 141 a closed pipe.
    """
    # NumPy's few products are small: its threads would take longer to start than to multiply.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    logging.basicConfig(format="ncodec: %(levelname)s: %(message)s", level=logging.WARNING)
    logging.addLevelName(logging.WARNING, "warning")
    logging.addLevelName(logging.ERROR, "error")
    signal.signal(signal.SIGTERM, _terminate)
    status = _run(args)
    try:
        sys.stdout.flush()
    except OSError as error:
        if status == 0:
            status = CLOSED_PIPE if isinstance(error, BrokenPipeError) else _say(error)
        # The interpreter flushes standard output again as it ends: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


def _run(args: Sequence[str] | None) -> int:
    try:
        status: Any = cli.main(args, "ncodec", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("ncodec: interrupted", err=True)
        return 130
    except Exception as error:
        if os.environ.get("NCODEC_DEBUG"):
            raise
        return _say(error)
    return status if isinstance(status, int) else 0


def _say(error: Exception) -> int:
    click.echo(f"ncodec: error: {describe(error)}", err=True)
    return 1


def describe(error: Exception) -> str:
    """Return one line for a person; errors that nobody foresaw say where to see more."""
    if isinstance(error, NcodecError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif isinstance(error, MemoryError):
        text = "out of memory"
    else:
        kind = type(error).__name__
        text = f"internal error: {kind}: {error} (NCODEC_DEBUG=1 shows where)"
    return " ".join(text.split())


def _terminate(_signal: int, _frame: object) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    main()
