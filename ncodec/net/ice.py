"""Servers that help two ends of a WebRTC call to meet: STUN tells addresses, TURN relays."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncodec.errors import ArgumentError, BadFileError

_URL = re.compile(r"(stun|turns?):[^\s:?@/]+(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?")
_LONGEST = 65536


@dataclass(frozen=True)
class IceServer:
    """One server, as `RTCIceServer` of browsers and of aiortc.

    Attributes:
        urls: "stun:HOST:PORT", "turn:HOST:PORT?transport=tcp" or "turns:HOST:PORT"; the port is
            3478 where there is none, of "turns" 5349.
        username: that a TURN server knows.
        credential: its password.

    Raises:
        ArgumentError: an address that is none, or TURN without a name and a password.
    """

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for url in self.urls:
            found = _URL.fullmatch(url)
            kind, port, transport = found.groups() if found else (None, None, None)
            if kind is None or not 0 < int(port or 1) < 65536:
                raise ArgumentError(
                    f"server {url!r}: must be stun:HOST, turn:HOST or turns:HOST, with :PORT if "
                    "it is not the usual one, and ?transport=tcp if a relay is reached so"
                )
            if transport is not None and (kind, transport) in (
                ("stun", "udp"), ("stun", "tcp"), ("turns", "udp"),
            ):  # fmt: skip
                raise ArgumentError(f"server {url!r}: {kind} has no transport {transport}")
            if kind != "stun" and not (self.username and self.credential):
                raise ArgumentError(f"server {url!r}: needs a username and a credential")

    @property
    def relays(self) -> bool:
        """Whether one of its addresses is that of a relay."""
        return any(url.startswith("turn") for url in self.urls)


def read_servers(path: str | os.PathLike[str]) -> list[IceServer]:
    """Read servers from JSON as browsers take it, `iceServers` of `RTCPeerConnection`.

    That is `[{"urls": ..., "username": ..., "credential": ...}, ...]`, by itself or as the member
    `iceServers` of an object, which is how providers of relays hand it out.

    Raises:
        BadFileError: it is none, or has a server that is none.
    """
    with Path(path).open("rb") as file:
        data = file.read(_LONGEST + 1)
    try:
        said: Any = json.loads(data) if len(data) <= _LONGEST else None
    except (ValueError, RecursionError):
        said = None
    said = said.get("iceServers", said) if isinstance(said, dict) else said
    said = [said] if isinstance(said, dict) else said
    if not isinstance(said, list) or not said:
        raise BadFileError(
            f"{path}: must be JSON as browsers take it, "
            '[{"urls": "turn:HOST:PORT", "username": "...", "credential": "..."}]'
        )
    try:
        return [_server(each) for each in said]
    except ArgumentError as error:
        raise BadFileError(f"{path}: {error}") from None


def _server(said: Any) -> IceServer:
    urls = said.get("urls") if isinstance(said, dict) else None
    urls = [urls] if isinstance(urls, str) else urls
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise ArgumentError('a server without "urls", a text or a list of texts')
    for key in ("username", "credential"):
        if not isinstance(said.get(key), str | None):
            raise ArgumentError(f"server {urls[0]!r}: its {key} must be text")
    return IceServer(tuple(urls), said.get("username"), said.get("credential"))
