"""Download of one file: resumed, verified, and put in place whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO

from ncodec.errors import CheckpointError
from ncodec.files import locked
from ncodec.progress import Progress

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_BLOCK = 1 << 18
_TIMEOUT = 30.0
_ATTEMPTS = 4


class _CutError(Exception):
    """The connection ended before the file did; what came is kept and the rest can be asked for."""


def fetch(url: str, destination: Path, sha256: str = "", progress: Progress | None = None) -> str:
    """Download `url` to `destination` and return the file's SHA-256 in hex.

    A cut connection is resumed where it broke, in this call and in later ones, from
    `destination` + `.part`; the file is renamed only once it is whole and its digest is right.
    Of two calls at once, in any processes, one downloads and the other waits and takes the result.

    Args:
        url: http, https or file address.
        destination: Path of the file; its folder is made.
        sha256: Digest that the file must have, or its first hex digits; empty if none is known.
        progress: Told of every block: the bytes had so far, and the whole size.

    Raises:
        CheckpointError: The address can't be reached, the file does not match, or the disk is full.
    """
    if not url.startswith(("http://", "https://", "file://")):
        raise CheckpointError(f"{url}: only http, https and file addresses can be downloaded")
    partial = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with locked(partial.with_suffix(".lock")):
            if not destination.is_file():
                _download(url, partial, sha256, progress)
                partial.replace(destination)
                _validator(partial).unlink(missing_ok=True)
            return _checked(destination, sha256, url)
    except OSError as error:
        raise CheckpointError(f"{destination}: cannot write ({_strerror(error)})") from error


def _download(url: str, partial: Path, sha256: str, progress: Progress | None) -> None:
    """Fill `partial`, asking again from where a connection broke."""
    for attempt in range(_ATTEMPTS):
        had = partial.stat().st_size if partial.is_file() else 0
        try:
            _transfer(url, partial, bool(sha256), progress)
            break
        except _CutError as cut:
            gained = partial.is_file() and partial.stat().st_size > had
            if attempt == _ATTEMPTS - 1 or not gained:
                raise CheckpointError(
                    f"{url}: {cut}; what has come is kept, and the same command resumes it"
                ) from cut
    _checked(partial, sha256, url)


def _transfer(url: str, partial: Path, verifiable: bool, progress: Progress | None) -> None:
    """One connection: append what is missing to `partial`, or start it anew."""
    with contextlib.ExitStack() as stack:
        response, start, total = _open(url, partial, verifiable)
        stack.enter_context(response)
        if total is not None:
            _require_space(partial, total - start)
        file = stack.enter_context(partial.open("ab" if start else "wb"))
        had = start
        while block := _read(response, had, total):
            _write(file, block)
            had += len(block)
            if progress is not None:
                progress(had, total)
    if total is not None and had < total:
        raise _CutError(f"the connection was cut after {had} of {total} bytes")
    if total is not None and had > total:
        partial.unlink()
        raise CheckpointError(f"{url}: {had} bytes came where the server had announced {total}")


def _open(url: str, partial: Path, verifiable: bool) -> tuple[HTTPResponse, int, int | None]:
    """Return the response, the offset at which it starts, and the whole size if known."""
    request = urllib.request.Request(url, headers={"User-Agent": "ncodec"})  # noqa: S310
    start = partial.stat().st_size if partial.is_file() else 0
    validator = _validator(partial)
    # Without a digest only the server can tell that its file is still the one that was begun.
    if start and (verifiable or validator.is_file()):
        request.add_header("Range", f"bytes={start}-")
        if validator.is_file():
            request.add_header("If-Range", validator.read_text("ascii"))
    try:
        # Its own opener: urlopen keeps the proxies that were set when it was first used.
        opener = urllib.request.build_opener()
        response: HTTPResponse = opener.open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            partial.unlink()
            return _open(url, partial, verifiable)
        raise CheckpointError(f"{url}: the server answered {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise CheckpointError(f"{url}: cannot be reached ({_strerror(reason)})") from error
    resumed = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status == 206 and resumed and int(resumed[1]) == start:
        return response, start, int(resumed[2])
    _remember_validator(validator, response)
    length = response.headers.get("Content-Length", "")
    return response, 0, int(length) if length.isdigit() else None


def _remember_validator(validator: Path, response: HTTPResponse) -> None:
    """Keep what tells this version of the file from another: a strong ETag or its date."""
    tag = response.headers.get("ETag", "")
    value = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    if value and value.isascii():
        validator.write_text(value, "ascii")
    else:
        validator.unlink(missing_ok=True)


def _validator(partial: Path) -> Path:
    return partial.with_suffix(".tag")


def _read(response: HTTPResponse, had: int, total: int | None) -> bytes:
    try:
        return response.read(_BLOCK)
    except (OSError, HTTPException) as error:
        of = "" if total is None else f" of {total}"
        raise _CutError(f"the connection was cut after {had}{of} bytes") from error


def _write(file: IO[bytes], block: bytes) -> None:
    try:
        file.write(block)
        file.flush()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", -1)):
            Path(file.name).unlink(missing_ok=True)
            raise CheckpointError(f"{file.name}: the disk is full; nothing was kept") from error
        raise


def _require_space(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        raise CheckpointError(
            f"{partial.parent}: the disk is full: {needed} bytes needed, {free} free"
        )


def _checked(file: Path, sha256: str, url: str) -> str:
    """Return the digest of `file`, which is removed if it does not begin with `sha256`."""
    digest = file_sha256(file)
    if not digest.startswith(sha256.lower()):
        file.unlink()
        raise CheckpointError(
            f"{url}: damaged or replaced: its SHA-256 is {digest}, it should begin with {sha256}"
        )
    return digest


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _strerror(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
