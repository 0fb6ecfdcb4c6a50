"""The `ncodec` command: what is made ready before it runs, and what every error becomes.

Nothing else is imported here: until `main` has set what Ctrl-C does, it gives a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from ncodec_cli.signals import CLOSED_PIPE, INTERRUPTED, begin, signals_handled

if TYPE_CHECKING:
    import click


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run; every error is one line on standard error and an exit status, never a traceback.

    Status 0 is success, 1 an error, 2 wrong usage, 130 Ctrl-C, 141 a closed pipe, and 128 and the
    signal's number for others (143 SIGTERM, 129 SIGHUP).
    """
    with signals_handled():
        _prepare()
        from ncodec_cli.commands import cli

        begin()
        status = 0
        try:
            status = _run(cli, args)
            sys.stdout.flush()
        except OSError as error:
            if os.environ.get("NCODEC_DEBUG") and not isinstance(error, BrokenPipeError):
                raise
            if status == 0:
                status = CLOSED_PIPE if isinstance(error, BrokenPipeError) else _say(error)
            _let_go(sys.stdout, 1)
            _let_go(sys.stderr, 2)
    sys.exit(status)


def _let_go(stream: TextIO, number: int) -> None:
    """Let what a stream cannot write go nowhere: the interpreter flushes it again as it ends."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _prepare() -> None:
    """Make the standard streams, libraries and their messages fit for a command."""
    from ncodec_cli.line import print_every_name, replace_closed_streams

    replace_closed_streams()
    print_every_name()
    # NumPy's few products are small: its threads would take longer to start than to multiply.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Threads that wait for each other look a moment whether the wait is over, then sleep: on cores
    # that are busy, looking on takes the time of the one that is waited for. GNU's and LLVM's.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("KMP_BLOCKTIME", "0")
    _speak_for_libraries()


def _speak_for_libraries() -> None:
    """Let warnings of the log be lines like all others, and drop those meant for programmers."""
    import logging
    import warnings

    from ncodec_cli.line import say_error

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say_error(" ".join(record.getMessage().split()), record.levelname.lower())

    logging.basicConfig(handlers=[Lines()], level=logging.WARNING)
    if not sys.warnoptions and not os.environ.get("NCODEC_DEBUG"):
        warnings.simplefilter("ignore")


def _run(cli: click.Command, args: Sequence[str] | None) -> int:
    import click

    from ncodec_cli.line import put, say, say_error

    try:
        status: Any = cli.main(args, "ncodec", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        put(error.format_message())
        return 0
    except click.UsageError as error:
        say_error(_usage(error, sys.argv[1:] if args is None else args))
        return error.exit_code
    except click.ClickException as error:
        say_error(" ".join(error.format_message().split()))
        return error.exit_code
    except click.Abort:
        say("ncodec: interrupted")
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("NCODEC_DEBUG"):
            raise
        return _say(error)
    return status if isinstance(status, int) else 0


def _usage(error: click.UsageError, args: Sequence[str]) -> str:
    """Return one line on a wrong call: what is wrong, and what helps."""
    import click

    text = " ".join(error.format_message().split()).rstrip(".")
    files = [arg for arg in args if arg.startswith("-") and os.path.lexists(arg)]
    if isinstance(error, click.NoSuchOption) and files:
        return f"{text}. To name the file {files[0]!r}, write {'./' + files[0]!r}"
    return f"{text} ({error.ctx.command_path} --help)" if error.ctx else text


def _say(error: Exception) -> int:
    from ncodec_cli.line import say_error

    say_error(describe(error))
    return 1


_OPTIONS = {
    "force=True": "--force",
    "keep_going=True": "--keep-going",
    "max_seconds=None": "--no-limit",
    "mono=True": "--mono",
    "mirror=URL": "--mirror",
    "model=FILE": "--model FILE",
    "model=NAME": "--model NAME",
    "name=NAME": "--name NAME",
    "sample_rate=HZ": "--rate HZ",
    "sister=HEADER": "--header-from FILE",
    "to=KIND": "--to KIND",
    "to='encodec'": "--to encodec",
}
"""Where the library's errors speak of arguments, the command line speaks of options."""


def describe(error: Exception) -> str:
    """Return one line for a person; errors that nobody foresaw say where to see more."""
    from ncodec.errors import NcodecError, in_words

    if isinstance(error, NcodecError):
        text = str(error)
        for argument, option in _OPTIONS.items():
            text = text.replace(argument, option)
    elif isinstance(error, OSError) and error.strerror:
        text = in_words(error)
    elif isinstance(error, MemoryError):
        text = "out of memory"
    elif isinstance(error, ModuleNotFoundError) and error.name and "ncodec" not in error.name:
        package = error.name.partition(".")[0]
        text = f"the Python package {package} is not installed; installing ncodec again brings it"
    else:
        kind = type(error).__name__
        text = f"internal error: {kind}: {error} (NCODEC_DEBUG=1 shows where)"
    return " ".join(text.split())


if __name__ == "__main__":
    main()
