"""The bytes under an audio reader: short reads, errors, pipes, and files that change under it."""

from __future__ import annotations

import io
import logging
import os
import tempfile
from array import array
from bisect import bisect_right
from pathlib import Path
from typing import BinaryIO, cast

from ncodec.errors import BadFileError

log = logging.getLogger("ncodec")

_PIECE = 1 << 16


class Source:
    """The bytes under a reader: keeps errors that libsndfile's callbacks would swallow."""

    def __init__(
        self,
        file: BinaryIO,
        *,
        own: bool,
        name: str,
        allow_truncated: bool,
        with_tags: bool = True,
    ) -> None:
        """Read `file` from where it stands; `own`: close it in the end."""
        self.file, self.own, self.name = file, own, name
        self.allow_truncated, self.with_tags = allow_truncated, with_tags
        self.seekable = file.seekable()
        self.error: OSError | None = None
        self.notes: list[str] = []
        """What a person should know of the source, beside the warnings."""
        self._copy: BinaryIO | None = None
        self._stamp = self._read_stamp()

    def take(self, size: int) -> bytes:
        """Read exactly `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        while size > 0:
            try:
                data = self.file.read(min(size, 1 << 24))
            except OSError as error:
                error.filename = error.filename or self.name
                raise
            if not data:
                break
            if self._copy is not None:
                self._copy.write(data)
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def skip(self, size: int) -> bool:
        """Pass over so many bytes, in pieces; False if there are fewer."""
        while size > 0:
            got = len(self.take(min(size, _PIECE)))
            if not got:
                return False
            size -= got
        return True

    def keep_copy(self) -> None:
        """Remember what is taken from a pipe from now on, so that `spooled` can begin with it."""
        copy = tempfile.SpooledTemporaryFile(1 << 20, prefix="ncodec-")  # noqa: SIM115
        self._copy = cast(BinaryIO, copy)

    def drop_copy(self) -> None:
        """Forget what was kept: the pipe is read as it comes."""
        if self._copy is not None:
            self._copy.close()
        self._copy = None

    def spooled(self) -> Source:
        """Copy a pipe, from `keep_copy` on, to a temporary file: libsndfile has to seek."""
        spool = tempfile.TemporaryFile(prefix="ncodec-")  # noqa: SIM115 - the reader closes it
        if self._copy is not None:
            self._copy.seek(0)
            while data := self._copy.read(1 << 20):
                spool.write(data)
            self.drop_copy()
        while data := self.file.read(1 << 20):
            spool.write(data)
        spool.seek(0)
        self.close()
        return self.beside(cast(BinaryIO, spool))

    def beside(self, file: BinaryIO) -> Source:
        """Return a source of the same name and rules over another file, which it owns."""
        return Source(
            file, own=True, name=self.name, allow_truncated=self.allow_truncated,
            with_tags=self.with_tags,
        )  # fmt: skip

    def size(self) -> int:
        """Return where the end of a file is that can seek; the position stays."""
        at = self.file.tell()
        end = self.file.seek(0, io.SEEK_END)
        self.file.seek(at)
        return end

    def at(self, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset` of a file that can seek, fewer only at its end."""
        self.file.seek(offset)
        return self.take(size)

    def path(self) -> str | None:
        """Return the path by which other programs can open this very file, if there is one."""
        named = getattr(self.file, "name", None)
        if not self.seekable or not isinstance(named, (str, bytes)):
            return None
        try:
            if os.path.samestat(os.fstat(self.file.fileno()), Path(os.fsdecode(named)).stat()):
                return os.fsdecode(named)
        except (OSError, AttributeError, ValueError):
            pass
        return None

    def report_short(self, there: int, promised: int, rate: int) -> None:
        """Report that the audio ends early."""
        text = (
            f"cut short: {there} samples ({there / rate:.3f} s) of the {promised} "
            f"({promised / rate:.3f} s) that its header promises"
        )
        self.report(text)

    def report(self, text: str) -> None:
        """Raise, or warn where that is allowed, that the audio is not whole."""
        if not self.allow_truncated:
            raise BadFileError(f"{self.name}: {text}")
        self.warn(text)

    def warn(self, text: str) -> None:
        """Warn of what is odd but no loss."""
        log.warning("%s: %s", self.name, text)

    def note(self, text: str) -> None:
        """Add to `notes`, once."""
        if text not in self.notes:
            self.notes.append(text)

    def check_unchanged(self) -> None:
        """Raise or warn if a regular file was written to since it was opened."""
        if self._stamp != self._read_stamp():
            self.report("the file changed while it was read")

    def close(self) -> None:
        """Close the file if it was opened here, and what was kept of it."""
        self.drop_copy()
        if self.own:
            self.file.close()

    def _read_stamp(self) -> tuple[int, int] | None:
        try:
            stat = os.fstat(self.file.fileno())
        except (OSError, AttributeError, io.UnsupportedOperation):
            return None
        return (stat.st_size, stat.st_mtime_ns) if self.seekable else None


class View:
    """Parts of a source, in order and with bytes of our own between them, as one file.

    This is what libsndfile is given: a tag before the sound, a header that is wrong
    or a second stream behind the first are not seen by them. It can seek, and only read.
    """

    def __init__(self, source: Source, *parts: bytes | tuple[int, int]) -> None:
        """Show `parts`: bytes, or where a stretch of the source begins and ends."""
        self.source = source
        self._at = 0
        self._ends = array("q")  # of each part, in this file
        self._begins = array("q")  # where it begins in the source, or ~i for self._own[i]
        self._own: list[bytes] = []
        for part in parts:
            self.add(part)

    def add(self, part: bytes | tuple[int, int]) -> None:
        """Add a part at the end."""
        if isinstance(part, bytes):
            begin, length = ~len(self._own), len(part)
            self._own.append(part)
        else:
            begin, length = part[0], part[1] - part[0]
        if length <= 0:
            return
        last = len(self._ends) - 1
        before = self._ends[last] if last >= 0 else 0
        if last >= 0 and begin >= 0 and self._begins[last] >= 0:
            had = before - (self._ends[last - 1] if last else 0)
            if self._begins[last] + had == begin:
                self._ends[last] += length
                return
        self._begins.append(begin)
        self._ends.append(before + length)

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return self._ends[-1] if self._ends else 0

    def in_source(self) -> int:
        """Return where in the source the present position is."""
        i = bisect_right(self._ends, self._at)
        if i == len(self._ends):
            i, at = i - 1, self.length
        else:
            at = self._at
        return self._begins[i] + at - (self._ends[i - 1] if i else 0)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek as a file does."""
        base = (0, self._at, self.length)[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Tell as a file does."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Read as a file does; an error is kept in the source's `error` and gives nothing."""
        left = self.length - self._at
        size = left if size < 0 else min(size, left)
        parts: list[bytes] = []
        while size > 0:
            data = self._read_part(size)
            if not data:
                break
            parts.append(data)
            self._at += len(data)
            size -= len(data)
        return b"".join(parts)

    def _read_part(self, size: int) -> bytes:
        i = bisect_right(self._ends, self._at)
        into = self._at - (self._ends[i - 1] if i else 0)
        size = min(size, self._ends[i] - self._at)
        begin = self._begins[i]
        if begin < 0:
            return self._own[~begin][into : into + size]
        try:
            return self.source.at(begin + into, size)
        except OSError as error:
            self.source.error = error
            return b""

    def write(self, data: bytes) -> int:
        """Refuse: soundfile wants the method to be there."""
        raise io.UnsupportedOperation("write")
