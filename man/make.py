"""Write a manual page for each command, from its own help, beside this file.

`make man` runs it; `man -l man/ncodec-compress.1` shows one.
"""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import click

import ncodec
from ncodec_cli.commands import cli

STATUS = """\
0 is success, 1 an error, 2 wrong usage, 130 Ctrl-C, 141 a closed pipe, and 128 and its number any
other signal. Errors are one line on standard error; an output is whole or absent."""


def escape(text: str) -> str:
    """Return text as roff takes it: no line of it is a request, hyphens can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def paragraphs(text: str) -> Iterator[str]:
    """Yield help as roff: what click's backspace marks keeps its lines, all else is filled."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text).strip()):
        if not paragraph.startswith("\b"):
            yield ".PP\n" + escape(" ".join(paragraph.split()))
            continue
        lines = paragraph.removeprefix("\b").strip("\n").splitlines()
        if lines and lines[0].rstrip().endswith(":") and not lines[0].startswith(" "):
            yield f".SH {escape(lines.pop(0).rstrip(': ').upper())}"
        yield ".PP\n.nf\n" + escape(inspect.cleandoc("\n".join(lines))) + "\n.fi"


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield what `--help` says of each option."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record:
            yield f".TP\n\\fB{escape(record[0])}\\fR\n{escape(record[1])}"


def page(command: click.Command, context: click.Context, others: list[str]) -> str:
    """Return one manual page."""
    path = context.command_path
    date = time.strftime(
        "%Y-%m-%d", time.gmtime(float(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    )
    title, short = path.replace(" ", "-"), command.get_short_help_str(200).rstrip(".")
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        f'.TH {escape(title.upper())} 1 {date} "ncodec {ncodec.__version__}" "ncodec"',
        f".SH NAME\n{escape(title)} \\- {escape(short)}",
        f".SH SYNOPSIS\n.B {escape(path)}\n{escape(usage)}",
        ".SH DESCRIPTION",
    ]
    described = list(paragraphs(command.help or ""))
    cut = next((i for i, part in enumerate(described) if part.startswith(".SH")), len(described))
    parts += described[:cut]
    if isinstance(command, click.Group):
        rows = [(name, command.get_command(context, name)) for name in others]
        listed = [(name, each.get_short_help_str(200)) for name, each in rows if each]
        parts += [".SH COMMANDS"]
        parts += [f".TP\n\\fB{escape(name)}\\fR\n{escape(text)}" for name, text in listed]
    parts += [".SH OPTIONS", *options(command, context), *described[cut:]]
    parts += [f".SH EXIT STATUS\n{escape(STATUS)}"]
    above = [path.rsplit(" ", 1)[0].replace(" ", "-")] if " " in path else []
    see = [*above, *(f"{title}-{name}" for name in others)]
    parts += [".SH SEE ALSO\n" + ", ".join(f"\\fB{escape(name)}\\fR(1)" for name in see)]
    return "\n".join(parts) + "\n"


def pages(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield file names and pages of a command and of those below it."""
    names = command.list_commands(context) if isinstance(command, click.Group) else []
    yield f"{context.command_path.replace(' ', '-')}.1", page(command, context, names)
    for name in names:
        assert isinstance(command, click.Group)
        below = command.get_command(context, name)
        if below is not None and not below.hidden:
            inner = click.Context(below, info_name=name, parent=context)
            yield from pages(below, inner)


def write(folder: Path) -> None:
    """Write all pages into a folder."""
    for name, text in pages(cli, click.Context(cli, info_name="ncodec")):
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent)
