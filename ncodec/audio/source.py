"""The bytes under an audio reader: short reads, errors, pipes, and files that change under it."""

from __future__ import annotations

import io
import logging
import os
import tempfile
from typing import BinaryIO, cast

from ncodec.errors import BadFileError

log = logging.getLogger("ncodec")


class Source:
    """The bytes under a reader: keeps errors that libsndfile's callbacks would swallow."""

    def __init__(self, file: BinaryIO, *, own: bool, name: str, allow_truncated: bool) -> None:
        self.file, self.own, self.name = file, own, name
        self.allow_truncated = allow_truncated
        self.seekable = file.seekable()
        self.error: OSError | None = None
        self._stamp = self._read_stamp()

    def take(self, size: int) -> bytes:
        """Read exactly `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        while size > 0:
            data = self.file.read(size)
            if not data:
                break
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def spooled(self, start: bytes) -> Source:
        """Copy the rest of a pipe to a temporary file: libsndfile has to seek."""
        spool = tempfile.TemporaryFile(prefix="ncodec-")  # noqa: SIM115 - the reader closes it
        spool.write(start)
        while data := self.file.read(1 << 20):
            spool.write(data)
        spool.seek(0)
        self.close()
        return Source(
            cast(BinaryIO, spool), own=True, name=self.name, allow_truncated=self.allow_truncated
        )

    def report_short(self, there: int, promised: int, rate: int) -> None:
        """Report that the audio ends early."""
        text = (
            f"cut short: {there} samples ({there / rate:.3f} s) of the {promised} "
            f"({promised / rate:.3f} s) that its header promises"
        )
        self.report(text)

    def report(self, text: str) -> None:
        """Raise, or warn where that is allowed, that the audio is not whole."""
        text = f"{self.name}: {text}"
        if not self.allow_truncated:
            raise BadFileError(text)
        log.warning("%s", text)

    def check_unchanged(self) -> None:
        """Raise or warn if a regular file was written to since it was opened."""
        if self._stamp != self._read_stamp():
            self.report("the file changed while it was read")

    def close(self) -> None:
        """Close the file if it was opened here."""
        if self.own:
            self.file.close()

    def _read_stamp(self) -> tuple[int, int] | None:
        try:
            stat = os.fstat(self.file.fileno())
        except (OSError, AttributeError, io.UnsupportedOperation):
            return None
        return (stat.st_size, stat.st_mtime_ns) if self.seekable else None

    # What soundfile's virtual input asks of a file.

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek as a file does."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """Tell as a file does."""
        return self.file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read as a file does, but keep an error in `error` and give nothing."""
        try:
            return self.file.read(size)
        except OSError as error:
            self.error = error
            return b""

    def write(self, data: bytes) -> int:
        """Refuse: soundfile wants the method to be there."""
        raise io.UnsupportedOperation("write")
