"""Inputs of any kind; outputs that are whole or absent, written under a temporary name first."""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from ncodec.errors import (
    ArgumentError,
    BadFileError,
    CheckpointError,
    LimitError,
    ModelMismatchError,
    OutputExistsError,
    UnsupportedVersionError,
    naming,
)

PathOrFile = str | os.PathLike[str] | BinaryIO
"""A path, or an open binary file."""
ReadableFile = PathOrFile | bytes | bytearray | memoryview
"""A path, an open binary file, or what would stand in one."""


@contextmanager
def reading(
    source: ReadableFile, *, name: str | None = None, seekable: bool = False
) -> Generator[BinaryIO]:
    """Give an input as an open binary file, and let errors of its format say which file they mean.

    Args:
        source: a path, which is closed at the end; a file, which is not; or bytes.
        name: how errors call it; its path by default.
        seekable: copy a pipe to a temporary file first.

    Raises:
        ArgumentError: it is nothing of this kind.
        OSError: it cannot be read.
    """
    with naming_file(name or name_of(source)), ExitStack() as stack:
        file = open_readable(source)
        if file is not source:
            stack.enter_context(file)
        if seekable:
            file = stack.enter_context(spooled(file))
        yield file


def naming_file(name: str) -> AbstractContextManager[None]:
    """Let errors that a file is to blame for say which one they mean."""
    return naming(
        name,
        BadFileError,
        CheckpointError,
        LimitError,
        ModelMismatchError,
        UnsupportedVersionError,
    )


def open_readable(source: ReadableFile) -> BinaryIO:
    """Open a path or bytes for reading; a file is given back as it is."""
    if isinstance(source, (str, os.PathLike)):
        check_path(source)
        return Path(source).open("rb")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    if hasattr(source, "read"):
        _check_binary(source)
        return source
    raise ArgumentError(f"{source!r}: must be a path, a binary file or bytes")


def check_path(path: str | os.PathLike[str]) -> None:
    """Raise ArgumentError of a path that no system takes."""
    if "\0" in str(path):
        raise ArgumentError(f"{str(path)!r}: a path has no NUL character")


def _check_binary(file: object) -> None:
    """Raise ArgumentError of a file that is closed, or open as text."""
    if isinstance(file, io.TextIOBase):
        raise ArgumentError(f"{name_of(file)}: is open as text; it must be a binary file")
    if getattr(file, "closed", False) is True:
        raise ArgumentError(f"{name_of(file)}: the file is closed")


def name_of(source: object) -> str:
    """Return how errors call an input or an output."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "input"


@contextmanager
def writing(target: PathOrFile, *, force: bool = False) -> Generator[BinaryIO]:
    """Give an output as an open file: `atomic_output` of a path, or the file that is given.

    Raises:
        ArgumentError: it is nothing of this kind; otherwise as `atomic_output`.
    """
    if isinstance(target, (str, os.PathLike)):
        with atomic_output(target, force=force) as file:
            yield file
    elif hasattr(target, "write"):
        _check_binary(target)
        yield target
    else:
        raise ArgumentError(f"{target!r}: must be a path or a binary file")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Refuse an output whose folder is not there, by the folder's name.

    Raises:
        OSError: It is missing, or no folder.
    """
    folder = os.path.dirname(os.fspath(path))
    if folder and not os.path.isdir(folder):
        code = errno.ENOTDIR if os.path.exists(folder) else errno.ENOENT
        raise OSError(code, os.strerror(code), folder)


@contextmanager
def atomic_output(path: str | os.PathLike[str], *, force: bool = False) -> Generator[BinaryIO]:
    """Give a file, open for reading and writing, that becomes `path` when the block ends well.

    Until then it has a hidden temporary name in the same folder; it is removed on any error, Ctrl-C
    included. A pipe or a device that is there already is written to directly.

    Raises:
        OutputExistsError: `path` exists and `force` is not set.
        ArgumentError: `path` is a folder.
        OSError: the folder is missing or full, or is not writable.
    """
    check_path(path)
    check_folder(path)
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise ArgumentError(f"{path}: is a folder; the output must be a file")
    if target.exists() and not target.is_file():
        with _full_named(path), target.open("wb") as device:
            yield device
        return
    if target.exists() and not force:
        raise OutputExistsError(f"{path}: exists already (force=True overwrites)")
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
            raise OutputExistsError(f"{target}: exists already (force=True overwrites)") from None
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


@contextmanager
def spooled(file: BinaryIO, *, limit: int | None = None) -> Generator[BinaryIO]:
    """Give a file that can seek: the file itself, or what is left of a pipe as a temporary file.

    Raises:
        LimitError: the pipe holds more than `limit` bytes.
    """
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile(prefix="ncodec-") as copy:
        while data := file.read(1 << 20):
            copy.write(data)
            if limit is not None and copy.tell() > limit:
                raise LimitError(f"the pipe holds more than {limit} bytes")
        copy.seek(0)
        yield cast(BinaryIO, copy)


def same_file(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Say whether two paths lead to one file; False where either is missing."""
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Generator[None]:
    """Hold the lock of `path` against other threads and processes; it goes if its holder dies.

    Any number may hold it `shared`; on Windows that is no lock.

    Raises:
        OSError: With `wait=False`, that another holds it.
    """
    with path.open("a+b") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            with nullcontext() if shared else _locked_there(file, wait=wait):
                yield
        else:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
            yield


@contextmanager
def _locked_there(file: BinaryIO, *, wait: bool) -> Generator[None]:
    """Lock the first byte of a file, the way of Windows, where waiting gives up after 10 s."""
    import msvcrt

    console: Any = msvcrt  # whose names type checkers know on Windows only
    while True:
        file.seek(0)
        try:
            console.locking(file.fileno(), console.LK_NBLCK, 1)
            break
        except OSError:
            if not wait:
                raise
            time.sleep(_LOCK_SECONDS)
    try:
        yield
    finally:
        file.seek(0)
        console.locking(file.fileno(), console.LK_UNLCK, 1)


_LOCK_SECONDS = 0.1
