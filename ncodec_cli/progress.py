"""How far a command is: one live line on a terminal, for one piece of work or many.

    with Progress("talk.wav", quiet=quiet) as progress:
        compress(source, target, progress=progress)      # calls progress(done, total)

    with Progress("encodec_24khz", unit=BYTES, quiet=quiet) as progress:
        pull(name, progress=progress)

    with Progress("steps", unit=COUNT, quiet=quiet, every=60) as progress:
        ...                                              # in a log, a line a minute

    with Progress(files=len(jobs), quiet=quiet) as progress:                  # several at once
        part = progress.part(job.source, size_in_bytes)
        work(job, part)                                  # calls part(done, total)
        part.end()

`ncodec.progress.Progress` is the type of the callback. Print with `say` and `put` of
`ncodec_cli.line` meanwhile: the line gives way to what is printed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ncodec_cli.line import cells, clear, has_line, say, shorten, show, width

SHOW_SECONDS = 0.1
"""The line is written this often at most."""
LOG_SECONDS = 10.0
"""On a terminal that cannot write over a line, a line comes this often."""
NAME_COLUMNS = 12
"""What a name should have; below that, other columns are left out."""


def clock(seconds: float, digits: int = 0) -> str:
    """Return 1:02:03 or 2:03, with so many digits of the fraction of a second.

    >>> clock(3723.5), clock(83.456, digits=3)
    ('1:02:03', '1:23.456')
    """
    units = int(seconds * 10**digits)
    whole, fraction = divmod(units, 10**digits)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
    return f"{text}.{fraction:0{digits}d}" if digits else text


def size(count: float) -> str:
    """Return a number of bytes for a person.

    >>> size(812), size(4477), size(160_939), size(62e6)
    ('812 B', '4.5 kB', '161 kB', '62 MB')
    """
    units = ["B", "kB", "MB", "GB", "TB"]
    while count >= 999.5 and len(units) > 1:
        count, units = count / 1000, units[1:]
    digits = 1 if count < 9.95 and units[0] != "B" else 0
    return f"{count:.{digits}f} {units[0]}"


def ratio(before: float, after: float) -> str:
    """Return two sizes, and what part of the first the second is.

    >>> ratio(45_025, 4477), ratio(30_234, 4477), ratio(4477, 265_532)
    ('45 kB -> 4.5 kB (1/10)', '30 kB -> 4.5 kB (1/6.8)', '4.5 kB -> 266 kB (59x)')
    """
    if not before or not after:
        return f"{size(before)} -> {size(after)}"
    factor = max(before / after, after / before)
    number = f"{factor:.1f}" if factor < 9.95 else f"{factor:.0f}"
    part = f"1/{number}" if before >= after else f"{number}x"
    return f"{size(before)} -> {size(after)} ({part})"


def times(factor: float) -> str:
    """Return how many times faster than real time: 7.8x, 137x."""
    return f"{factor:.1f}x" if factor < 99.95 else f"{factor:.0f}x"


@dataclass(frozen=True)
class Unit:
    """How amounts of one kind, and so many of them a second, are shown."""

    amount: Callable[[float], str]
    speed: Callable[[float], str] | None


TIME = Unit(clock, lambda a_second: f"{times(a_second)} real time")
BYTES = Unit(size, lambda a_second: f"{size(a_second)}/s")
COUNT = Unit(lambda number: f"{number:.0f}", None)


class Part:
    """One of the works of a `Progress`: the callback of that work."""

    def __init__(self, whole: Progress, name: str, size: float) -> None:
        """Begin with nothing done."""
        self.name, self.size = name, size
        self.done, self.total = 0.0, None
        self.ended = False
        self._whole = whole

    done: float
    total: float | None

    def __call__(self, done: float, total: float | None) -> None:
        """Tell how far it is."""
        self.done, self.total = done, total
        self._whole.draw()

    def end(self) -> None:
        """Tell that it is over, well or not."""
        self.ended = True
        self._whole.draw(now=True)

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1; 0 while that is not known."""
        if self.ended:
            return 1.0
        return min(self.done / self.total, 1.0) if self.total else 0.0


class Progress:
    """The live line of a command; silent where standard error is no terminal."""

    def __init__(
        self,
        label: str = "",
        *,
        unit: Unit = TIME,
        files: int | None = None,
        sizes: float = 0.0,
        quiet: bool = False,
        every: float | None = None,
    ) -> None:
        """Show nothing yet.

        Args:
            label: what the line begins with, where there is one work.
            unit: what is counted.
            files: how many works there are, where there are several; each has its `part`.
            sizes: how large these are together, so that the share that is done is known.
            quiet: show nothing at all.
            every: where no line can be written over, print one so often, in seconds; by default
                every 10 s on a terminal of that kind, and never to a file or a pipe.
        """
        self._label, self._unit, self._files, self._sizes = label, unit, files, sizes
        self._quiet, self._every = quiet, every
        self._parts: list[Part] = []
        self._lock = threading.RLock()
        self._began: float | None = None
        self._before = self._share_before = 0.0
        self._shown = float("-inf")

    def __enter__(self) -> Progress:
        """Nothing to begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        clear()

    def __call__(self, done: float, total: float | None) -> None:
        """Tell how far the one work is."""
        (self._parts[0] if self._parts else self.part(self._label, 1.0))(done, total)

    def part(self, name: str, size: float) -> Part:
        """Begin one of several works, as large as `size` beside the others."""
        part = Part(self, name, size)
        with self._lock:
            self._parts.append(part)
        return part

    @property
    def done(self) -> float:
        """What all works have done together, in the unit."""
        return sum(part.done for part in self._parts)

    @property
    def seconds(self) -> float:
        """How long they have been at work: since the first call, so that loading is not counted."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def draw(self, *, now: bool = False) -> None:
        """Write the line, if there is one and it is time to."""
        with self._lock:
            if self._began is None:
                self._began = time.monotonic()
                self._before, self._share_before = self.done, self._share or 0.0
            if self._quiet:
                return
            live = has_line()
            pause = SHOW_SECONDS if live else self._pause()
            past = time.monotonic() - max(self._shown, self._began if not live else self._shown)
            if past < pause and not (now and live):
                return
            self._shown = time.monotonic()
            show(self._text(width())) if live else say(self._text(None))

    def _pause(self) -> float:
        default = LOG_SECONDS if sys.stderr.isatty() else float("inf")
        return default if self._every is None else self._every

    @property
    def _share(self) -> float | None:
        """How much of everything is done, 0 to 1, if that is known."""
        whole = max(self._sizes, sum(part.size for part in self._parts))
        if not whole or not any(part.total or part.ended for part in self._parts):
            return None
        return min(sum(part.size * part.share for part in self._parts) / whole, 1.0)

    def _text(self, columns: int | None) -> str:
        took, share, texts = self.seconds, self._share, list[str]()
        if self._files is None:
            count, name, part = "", self._label, self._parts[0]
            of = f" / {self._unit.amount(part.total)}" if part.total else ""
            texts.append(self._unit.amount(part.done) + of)
        else:
            count = f"{sum(part.ended for part in self._parts)}/{self._files}"
            at_work = [part.name for part in self._parts if not part.ended]
            name = Path(at_work[-1]).name if at_work else ""
        if share is not None:
            texts.append(f"{100 * share:3.0f} %")
            gone = share - self._share_before
            if gone > 0:
                texts.append(f"{clock(round(took / gone * (1 - share)))} left")
        if self._unit.speed is not None and took > 0 and self.done > self._before:
            texts.append(self._unit.speed((self.done - self._before) / took))
        return _joined(count, name, texts, columns)


def _joined(count: str, name: str, texts: list[str], columns: int | None) -> str:
    """Put the columns side by side; where they are too wide, the last ones and the name give."""

    def line(name: str) -> str:
        return "  ".join(filter(None, [count, name, *texts]))

    if columns is None:
        return line(name)
    while len(texts) > 1 and columns - cells(line("")) - 2 < min(NAME_COLUMNS, cells(name)):
        texts.pop()
    return line(shorten(name, max(columns - cells(line("")) - 2, 0)))
