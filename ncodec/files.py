"""Outputs that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ncodec.errors import ArgumentError


@contextmanager
def atomic_output(path: str | os.PathLike[str], *, force: bool = False) -> Generator[BinaryIO]:
    """Give a file, open for reading and writing, that becomes `path` when the block ends well.

    Until then it has a hidden temporary name in the same folder; it is removed on any error, Ctrl-C
    included. A pipe or a device that is there already is written to directly.

    Raises:
        ArgumentError: `path` exists and `force` is not set.
        OSError: the folder is missing or full, or is not writable.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise ArgumentError(f"{path}: is a folder; the output must be a file")
    if target.exists() and not target.is_file():
        with _full_named(path), target.open("wb") as device:
            yield device
        return
    if target.exists() and not force:
        raise ArgumentError(f"{path}: exists already (--force overwrites)")
    temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}.part")
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666
    try:
        with _named(path):
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _O_BINARY, mode)
        with _full_named(path), os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _publish(temporary, target, force=force)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


_O_BINARY = getattr(os, "O_BINARY", 0)


def _publish(temporary: Path, target: Path, *, force: bool) -> None:
    """Rename; without `force`, not over a file that has come into being meanwhile."""
    if not force:
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise ArgumentError(f"{target}: exists already (--force overwrites)") from None
        except OSError:
            pass  # a file system without hard links: the plain rename below
        else:
            temporary.unlink()
            return
    temporary.replace(target)


@contextmanager
def _named(path: str | os.PathLike[str]) -> Generator[None]:
    """Let errors speak of the path that was asked for, not of the temporary one."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None


_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


@contextmanager
def _full_named(path: str | os.PathLike[str]) -> Generator[None]:
    """Let an error that there is no room say where; only writing meets it."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _FULL:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        raise


def same_file(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Say whether two paths lead to one file; False where either is missing."""
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False
