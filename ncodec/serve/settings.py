"""What a server may do and for whom: limits, models, tokens, origins."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from ncodec.arguments import check_whole
from ncodec.errors import ArgumentError, BadFileError

MIB = 1 << 20
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[^\s/:?#@A-Z]+)(:\d{1,5})?")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What requests may cost.

    Attributes:
        body_bytes: Of an upload.
        output_bytes: Of an answer.
        audio_seconds: Of the sound in a file, decoded.
        job_seconds: Of the clock, for the work on a file.
        job_memory: Bytes that work may take besides what every worker has.
        piece_seconds: Until the next piece of a body must be there.
        upload_seconds: Until all of it must be.
        jobs: Files at once; `queue` more wait.
        queue: See `jobs`.
        streams: Streams at once.
        token_streams: Of them, of one token; None: no more limit than that of all.
        token_jobs: Files of one token at once, those that wait too; None likewise.
        token_bytes: Bytes an hour, in and out, of one token; None: any number.
        load: Share of its time that the engine may work, above which no stream is let in.
        idle_seconds: A stream without a message ends.
        behind_seconds: A stream whose client has not taken so much of its sound ends.
        ahead_seconds: Sound that a stream may send faster than real time; then it has to wait.
        grace_seconds: Streams and files that run get so long when the server stops.
    """

    body_bytes: int = 256 * MIB
    output_bytes: int = 2048 * MIB
    audio_seconds: float = 3600.0
    job_seconds: float = 120.0
    job_memory: int = 1024 * MIB
    piece_seconds: float = 10.0
    upload_seconds: float = 300.0
    jobs: int = 1
    queue: int = 8
    streams: int = 64
    token_streams: int | None = None
    token_jobs: int | None = None
    token_bytes: int | None = None
    load: float = 0.7
    idle_seconds: float = 30.0
    behind_seconds: float = 3.0
    ahead_seconds: float = 1.0
    grace_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a server is told at its start.

    Attributes:
        models: The names that requests may use, no others; the first where a request has none.
        tokens: SHA-256 of each token that opens the server; none of them: it is open.
        origins: Web pages that may use it, as "https://example.org".
        limits: Of requests.

    Raises:
        ArgumentError: No model is named, or an origin is none, which no browser would ever send.
    """

    models: tuple[str, ...] = ("ncodec_24khz",)
    tokens: tuple[bytes, ...] = ()
    origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.models:
            raise ArgumentError("no models: at least one must be named")
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ArgumentError(
                    f"origin {origin!r}: must be http(s)://HOST or http(s)://HOST:PORT, no more"
                )

    def holder(self, token: bytes) -> bytes | None:
        """Return whose a token of any bytes is, in time that does not depend on it.

        That is its digest, an empty one where there are no tokens, and None for one that is none of
        ours.
        """
        digest, found = hashlib.sha256(token).digest(), False
        for known in self.tokens:
            found = hmac.compare_digest(digest, known) or found
        return digest if found else None if self.tokens else b""

    def model(self, name: str | None) -> str:
        """Return the name of the model that a request means.

        Raises:
            ArgumentError: It is not on the list.
        """
        if name is None:
            return self.models[0]
        if name not in self.models:
            raise ArgumentError(f"model {name!r}: this server has {', '.join(self.models)}")
        return name


def read_tokens(path: str | os.PathLike[str]) -> tuple[bytes, ...]:
    """Return the SHA-256 of the tokens in a file, a line each; empty lines and # are skipped.

    Raises:
        BadFileError: There is none, one is shorter than 16 bytes, or others may read the file.
    """
    if os.name == "posix" and stat.S_IMODE(Path(path).stat().st_mode) & 0o007:
        raise BadFileError(f"{path}: others may read these tokens; chmod o= {path}")
    lines = [line.strip() for line in Path(path).read_bytes().splitlines()]
    tokens = [line for line in lines if line and not line.startswith(b"#")]
    if not tokens:
        raise BadFileError(f"{path}: no token in it")
    if min(map(len, tokens)) < 16:
        raise BadFileError(f"{path}: a token of less than 16 bytes can be guessed")
    return tuple(hashlib.sha256(token).digest() for token in tokens)


def check_place(host: str, port: int, settings: Settings) -> None:
    """Refuse to be open to a network without tokens.

    Raises:
        ArgumentError: The port is none, or others reach the host and there are no tokens; or this
            system cannot fork the processes that files are worked on in.
    """
    if not hasattr(os, "fork"):  # Windows
        raise ArgumentError("serving needs processes that fork, which this system does not have")
    check_whole("port", port, 0)
    if port > 65535:
        raise ArgumentError(f"port {port}: must be 0 to 65535")
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and not settings.tokens:
        raise ArgumentError(f"host {host}: others reach it, so the server needs tokens")
