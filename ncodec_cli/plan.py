"""Which files a command makes from which, decided by names alone; and what it leaves out."""

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from ncodec.errors import ArgumentError, counted
from ncodec.files import same_file

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep, "/")))
_SOUND = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff"))
_CASELESS = sys.platform in ("darwin", "win32")
"""Whether file systems here take A.wav and a.wav, however letters are composed, for one name."""
_NAMED = 5
"""So many files that were left out are named; `--verbose` names all."""


@dataclass(frozen=True)
class Kind:
    """What a command reads and writes, by the endings of names, all in small letters.

    Attributes:
        verb: the command, as messages call it.
        takes: endings of the files that it looks for in folders.
        suffix: ending of what it writes where only a folder, or nothing, is said.
        writes: endings that an output may have; where it is empty, any name that is no input's.
        needs: endings of files that it could read if a program were there, and that program.
        named: whether the output must be said, so that the last of several paths always is it.
    """

    verb: str
    takes: frozenset[str]
    suffix: str
    writes: frozenset[str] = frozenset()
    needs: tuple[frozenset[str], str] = (frozenset(), "")
    named: bool = False

    def names_output(self, path: str) -> bool:
        """Say whether a name is that of an output by its ending."""
        ending = _ending(path)
        return ending in self.writes if self.writes else ending not in self.takes

    def renamed(self, name: str, *, whole: bool = False) -> str:
        """Return the output's name for an input's: only an ending that is known gives way."""
        stem = name if whole or _ending(name) not in self.takes else name[: -len(_ending(name))]
        return stem if _ending(stem) == self.suffix else stem + self.suffix


COPIES = Kind("it", frozenset({".ecdc"}), ".ecdc", frozenset({".ecdc"}), named=True)
"""Commands that make .ecdc files from .ecdc files."""


@dataclass(frozen=True)
class Job:
    """One input and its output; "-" is a pipe."""

    source: str
    target: str
    new_folder: bool = False
    """Whether the output's folder is made where it is missing."""


@dataclass
class LeftOut:
    """What was seen in folders and is no input, path by path."""

    program: str = ""
    needing: list[str] = field(default_factory=list[str])
    others: list[str] = field(default_factory=list[str])
    hidden: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])
    closed: list[OSError] = field(default_factory=list[OSError])

    def __len__(self) -> int:
        """How many, all reasons together."""
        return sum(map(len, (self.needing, self.others, self.hidden, self.links)))

    def lines(self, *, verbose: bool) -> Iterator[str]:
        """Yield what to say of it."""
        if not self:
            return
        if verbose:
            for why, paths in (
                (f"needs {self.program}", self.needing),
                ("hidden", self.hidden),
                ("a link to a folder", self.links),
                ("of no kind that is looked for", self.others),
            ):
                yield from (f"left out: {path} ({why})" for path in paths)
            return
        texts: list[str] = []
        if self.needing:
            more = len(self.needing) - _NAMED
            also = f" and {more} more" if more > 0 else ""
            texts.append(f"{', '.join(self.needing[:_NAMED])}{also} ({self.program} is needed)")
        if self.others:
            endings = Counter(_ending(path) or "without ending" for path in self.others)
            kinds = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(3))
            texts.append(kinds + (" and others" if len(endings) > 3 else ""))
        if self.hidden:
            texts.append(f"{len(self.hidden)} hidden")
        if self.links:
            texts.append(counted(len(self.links), "linked folder"))
        named = min(len(self.needing), _NAMED)
        hint = " (--verbose names them)" if named < len(self) else ""
        yield f"left out: {'; '.join(texts)}{hint}"


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    jobs: list[Job]
    left_out: LeftOut


def plan_jobs(paths: tuple[str, ...], output: str | None, kind: Kind) -> Plan:
    """Say which files are made from which.

    Without `output`, the last of several paths is it if it is "-", a folder, a device or a pipe, or
    if its name says so. Folders are searched for files that `kind` takes, and their tree is kept.
    Nothing is read, made or checked for being there but that.

    Raises:
        click.UsageError: the paths make no sense together.
        ArgumentError: two files would become one.
    """
    if output is None and kind.named and len(paths) < 2:
        raise click.UsageError("Missing argument 'OUTPUT'.")
    if output is None and len(paths) > 1:
        paths, output = _split(paths, kind)
    left_out = LeftOut(kind.needs[1])
    if len(paths) == 1 and not Path(paths[0]).is_dir():
        return Plan([_single(paths[0], output, kind)], left_out)
    if output is not None and not _is_folder(output, kind):
        raise click.UsageError(
            f"{output!r}: several inputs need a folder as output ({output + '/'!r} makes one)"
        )
    pairs = [pair for path in paths for pair in _expand(path, output, kind, left_out)]
    if not pairs and not left_out.closed:
        raise ArgumentError("; ".join([_nothing(paths, kind), *left_out.lines(verbose=False)]))
    return Plan(_named(pairs, kind), left_out)


def refuse_sound_name(output: str, way: str = " (-o takes any name)") -> None:
    """Keep packets out of files that are named as if they were sound.

    Raises:
        click.UsageError: it is such a name.
    """
    if _ending(output) in _SOUND:
        raise click.UsageError(
            f"{output!r}: an .ecdc file is written, which decompress makes sound of{way}"
        )


def is_special(path: str) -> bool:
    """Say whether a path is that of a device, a pipe or a socket: written to, never replaced."""
    if path == os.devnull:
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def find_files(root: str, takes: frozenset[str], left_out: LeftOut | None = None) -> Iterator[str]:
    """Yield the files below a folder with an ending that is asked for, in the order of names."""
    out = LeftOut() if left_out is None else left_out
    for folder, names, files in os.walk(root, onerror=out.closed.append):
        out.hidden += [os.path.join(folder, name) for name in names if name.startswith(".")]
        names[:] = sorted(name for name in names if not name.startswith("."))
        out.links += [path for name in names if os.path.islink(path := os.path.join(folder, name))]
        for name in sorted(files):
            path = os.path.join(folder, name)
            if name.startswith("."):
                out.hidden.append(path)
            elif _ending(name) in takes:
                yield path
            else:
                out.others.append(path)


def _ending(path: str) -> str:
    """Return ".wav" for "in/A.WAV"; nothing for "2024.11.30", "a. b" or ".wav"."""
    ending = os.path.splitext(os.path.basename(path))[1].lower()
    return ending if ending[1:].isalnum() and not ending[1:].isdigit() else ""


def _split(paths: tuple[str, ...], kind: Kind) -> tuple[tuple[str, ...], str | None]:
    """Tell the output from the inputs."""
    *inputs, last = paths
    if last == "-" or last.endswith(_SEPARATORS) or Path(last).is_dir() or is_special(last):
        return tuple(inputs), last
    if kind.named:
        refuse_sound_name(last)
    if kind.named or kind.names_output(last):
        return tuple(inputs), last
    if os.path.lexists(last):
        return paths, None
    if len(inputs) == 1 and Path(inputs[0]).is_dir():
        return tuple(inputs), last
    if len(inputs) > 1 and _ending(last) not in kind.takes:
        return tuple(inputs), last
    raise click.UsageError(f"{last!r}: not there as an input, and {_no_output(last, kind)}")


def _no_output(name: str, kind: Kind) -> str:
    written = ", ".join(sorted(kind.writes))
    said = "no name of an output"
    if not kind.writes:
        read = ", ".join(sorted(kind.takes))
        return f"{said}: {kind.verb} reads {read} (-o takes any name)"
    if _ending(name):
        return f"{said}: {kind.verb} writes {written} (-o takes any name)"
    return f"{said}: {name + kind.suffix!r} would be a file, {name + '/'!r} a folder"


def _is_folder(output: str, kind: Kind) -> bool:
    """Say whether the output of several inputs is a folder, which need not be there yet."""
    if output == "-" or is_special(output):
        return False
    if output.endswith(_SEPARATORS) or Path(output).is_dir():
        return True
    return not os.path.lexists(output) and _ending(output) not in kind.writes | {kind.suffix}


def _single(source: str, output: str | None, kind: Kind) -> Job:
    name = kind.renamed(os.path.basename(source))
    if output is None:
        return Job(source, "-" if source == "-" else os.path.join(os.path.dirname(source), name))
    if output != "-" and (output.endswith(_SEPARATORS) or Path(output).is_dir()):
        if source == "-":
            raise click.UsageError(f"{output!r} is a folder; a pipe needs the name of a file")
        return Job(source, os.path.join(output, name), new_folder=True)
    return Job(source, output)


def _expand(
    path: str, output: str | None, kind: Kind, left_out: LeftOut
) -> Iterator[tuple[str, str, str]]:
    """Yield each file that a path stands for, the folder of its output, and its own name."""
    if path == "-":
        raise click.UsageError("a pipe can only be the single input")
    if not Path(path).is_dir():
        folder = os.path.dirname(path) if output is None else output
        yield path, folder, os.path.basename(path)
        return
    seen = LeftOut()
    for file in find_files(path, kind.takes, seen):
        folder = os.path.dirname(file)
        if output is not None:
            folder = os.path.normpath(os.path.join(output, os.path.relpath(folder, path)))
        yield file, folder, os.path.basename(file)
    own = {kind.suffix, *kind.writes} if output is None else set[str]()
    left_out.needing += [one for one in seen.others if _ending(one) in kind.needs[0]]
    left_out.others += [
        one for one in seen.others if _ending(one) not in kind.needs[0] and _ending(one) not in own
    ]
    left_out.hidden += seen.hidden
    left_out.links += seen.links
    left_out.closed += seen.closed


def _named(pairs: list[tuple[str, str, str]], kind: Kind) -> list[Job]:
    """Name the outputs; where two would have one name, they keep the endings of their inputs."""

    def target(folder: str, name: str, whole: bool) -> str:
        return os.path.join(folder, kind.renamed(name, whole=whole))

    count = Counter(_place(target(folder, name, whole=False)) for _, folder, name in pairs)
    jobs, made = list[Job](), dict[str, str]()
    for source, folder, name in pairs:
        path = target(folder, name, whole=count[_place(target(folder, name, whole=False))] > 1)
        before = made.get(_place(path))
        if before is not None and same_file(before, source):
            names = source if before == source else f"{before} and {source}"
            raise ArgumentError(f"{names}: the same file is given twice; an output is another file")
        if before is not None:
            raise ArgumentError(
                f"{before} and {source} would both become {path}: "
                "give them folders of their own, or the folder that they are both below"
            )
        made[_place(path)] = source
        jobs.append(Job(source, path, new_folder=True))
    return jobs


def _place(path: str) -> str:
    """Return where a file would lie, however the way there is written."""
    folder, name = os.path.split(path)
    place = os.path.join(os.path.realpath(folder), name)
    return unicodedata.normalize("NFC", place).casefold() if _CASELESS else place


def _nothing(paths: tuple[str, ...], kind: Kind) -> str:
    endings = ", ".join(sorted(kind.takes)) if len(kind.takes) < 4 else "audio"
    return f"{', '.join(paths)}: no {endings} files there"
