"""Bodies of any length: to a file and from it, in pieces, with limits while they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

from ncodec.errors import LimitError, NcodecError
from ncodec.serve.settings import MIB, Limits

_PIECE = MIB // 4
_DISCARD_BYTES = 8 * MIB
"""So much of a body that is too long is read and thrown away, so that its sender hears why."""


class SlowError(NcodecError):
    """A body did not come in time."""


async def receive(request: Any, file: BinaryIO, limits: Limits) -> None:
    """Write a request's body to a file.

    Raises:
        LimitError: It is too long, or says so.
        SlowError: It, or its next piece, is not there in time.
    """
    said = request.headers.get("content-length")
    if said is not None and int(said) > limits.body_bytes + _DISCARD_BYTES:
        raise _too_long(limits)
    size, ends = 0, time.monotonic() + limits.upload_seconds
    pieces = request.stream().__aiter__()
    while True:
        try:
            left = min(limits.piece_seconds, ends - time.monotonic())
            piece = await asyncio.wait_for(pieces.__anext__(), max(left, 0))
        except StopAsyncIteration:
            break
        except asyncio.TimeoutError:
            raise SlowError("the body does not come in time") from None
        size += len(piece)
        if size > limits.body_bytes + _DISCARD_BYTES:
            break
        if size <= limits.body_bytes:
            file.write(piece)
    if size > limits.body_bytes:
        raise _too_long(limits)


def _too_long(limits: Limits) -> LimitError:
    return LimitError(f"the body is longer than {limits.body_bytes} bytes")


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """Yield a file in pieces."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
