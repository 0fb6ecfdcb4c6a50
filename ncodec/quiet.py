"""Standard error without the chatter of C libraries, whatever thread they run in."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TextIO

_MPG123 = re.compile(
    rb"[^\n]*libmpg123[^\n]*\n?|(?:Note|Warning): (?:Illegal|Trying|Skipped|Hit end|Xing|"
    rb"Encountered|Real sample|Cannot|Can't|Junk|Big change|Premature)[^\n]*\n?"
)


class _Hush:
    """Turns descriptor 2 away while at least one thread asks for it.

    `sys.stderr` goes on to where it was; what else comes to the descriptor is kept, and given out
    at the end unless it is chatter.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._real = -1
        self._kept: BinaryIO | None = None
        self._voice: TextIO | None = None
        self._before: TextIO | None = None
        self._forward = False

    def enter(self, *, forward: bool) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._forward = forward
                self._begin()

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._real >= 0:
                self._end()

    def _begin(self) -> None:
        try:
            _flush()
            self._real = os.dup(2)
        except OSError:
            self._real = -1  # there is no standard error
            return
        if self._kept is None:
            self._kept = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - kept for the next
        os.dup2(self._kept.fileno(), 2)
        if _is_descriptor_2(sys.stderr):
            if self._voice is None or not _same(self._voice.fileno(), self._real):
                self._voice = os.fdopen(
                    os.dup(self._real), "w", buffering=1,
                    encoding=sys.stderr.encoding, errors="backslashreplace",
                )  # fmt: skip
            self._before, sys.stderr = sys.stderr, self._voice

    def _end(self) -> None:
        assert self._kept is not None
        if self._voice is not None:
            with suppress(OSError, ValueError):
                self._voice.flush()
        if self._before is not None and sys.stderr is self._voice:
            with suppress(OSError, ValueError):
                self._before.flush()
            sys.stderr = self._before
        self._before = None
        os.dup2(self._real, 2)
        if self._kept.tell():
            self._kept.seek(0)
            data = self._kept.read()
            self._kept.seek(0)
            self._kept.truncate()
            if self._forward and (rest := _MPG123.sub(b"", data)).strip():
                with suppress(OSError):
                    os.write(2, rest)
        os.close(self._real)
        self._real = -1

    def forget(self) -> None:
        """Begin anew in a child that was forked, perhaps while another thread had it hushed."""
        if self._users and self._real >= 0:
            os.dup2(self._real, 2)
            if self._before is not None:
                sys.stderr = self._before
        self.__init__()


_HUSH = _Hush()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HUSH.forget)


@contextmanager
def quiet_libraries(*, forward: bool = False) -> Generator[None]:
    """Keep what libraries print to descriptor 2 off standard error; `sys.stderr` still works.

    Blocks may lie side by side in threads. With `forward`, only what libmpg123 says is dropped and
    anything else comes at the end of the block: it may be a message that is meant to be read.
    NCODEC_DEBUG=1 lets all speak.
    """
    if os.environ.get("NCODEC_DEBUG"):
        yield
        return
    _HUSH.enter(forward=forward)
    try:
        yield
    finally:
        _HUSH.leave()


def _flush() -> None:
    if sys.stderr is not None:  # type: ignore[reportUnnecessaryComparison]
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def _is_descriptor_2(file: TextIO | None) -> bool:
    try:
        return file is not None and file.fileno() == 2
    except (OSError, ValueError, AttributeError):
        return False


def _same(a: int, b: int) -> bool:
    try:
        return os.path.sameopenfile(a, b)
    except OSError:
        return False
