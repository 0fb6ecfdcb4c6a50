"""Calls over a WebRTC data channel: what browsers speak too, encrypted, through most routers."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from ncodec.errors import ArgumentError, NcodecError
from ncodec.net.bad_line import Conditions
from ncodec.net.ice import IceServer
from ncodec.net.transport import Transport

log = logging.getLogger("ncodec")

LABEL = "ncodec"
FULL = 4096
"""Bytes that may wait to be sent: half a second of a call. What is more is dropped, as it would be
by any queue on the way; `send` of a data channel never refuses anything by itself."""
LONGEST_DESCRIPTION = 65536
GATHER_SECONDS = 20.0


class Channel(Transport):
    """A data channel, unordered and without retransmissions.

    One side makes an `offer`, the other an `answer` to it, the first takes it by `accept`. The
    descriptions are lines of JSON, `{"type": ..., "sdp": ...}` as browsers have it. They carry the
    fingerprints of both certificates: who brings them from one side to the other vouches for both.
    """

    LINGERS = True
    headers = 20 + 8 + 13 + 8 + 16 + 12 + 16 + 12
    """IPv4, UDP, a DTLS record with nonce and tag, SCTP and its chunk (RFC 9260), RTP."""
    hint = "is the answer that of this offer, and was it brought within half a minute?"

    def __init__(
        self, servers: Sequence[IceServer] = (), *, conditions: Conditions | None = None
    ) -> None:
        """Prepare; call `start` before anything else.

        Args:
            servers: that tell what this machine is called outside, or relay; nobody is asked by
                default. Of each kind the first address is used.
            conditions: of a simulated line.

        Raises:
            ArgumentError: aiortc is not installed.
        """
        self._rtc = _library()
        super().__init__(conditions)
        self._servers = list(servers)
        self._peer: Any = None
        self._channel: Any = None

    @property
    def peer(self) -> str:
        """Who is at the other end: nobody whose address is known before it is found."""
        return "the other end"

    def offer(self) -> str:
        """Return the description that the other side needs, a line of JSON."""
        return self._wait(self._offer())

    def answer(self, offer: str) -> str:
        """Take an offer; return the description that its maker needs.

        Raises:
            ArgumentError: it is no offer.
        """
        return self._wait(self._answer(_read(offer, "offer")))

    def accept(self, answer: str) -> None:
        """Take the answer to this side's offer.

        Raises:
            ArgumentError: it is no answer.
        """
        self._wait(self._accept(_read(answer, "answer")))

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self.wait_for(work, GATHER_SECONDS)
        except NcodecError:
            raise
        except (FutureTimeoutError, TimeoutError) as error:
            raise NcodecError(f"the network did not answer in {GATHER_SECONDS:g} s") from error
        except Exception as error:  # aiortc has no kinds of its own for what is in a description
            raise ArgumentError(f"a description that WebRTC does not take: {error}") from error

    def _connection(self) -> Any:
        servers = [
            self._rtc.RTCIceServer(list(each.urls), each.username, each.credential)
            for each in self._servers
        ]
        peer = self._peer = self._rtc.RTCPeerConnection(
            self._rtc.RTCConfiguration(iceServers=servers)
        )

        def changed() -> None:
            if peer.connectionState == "failed" and not self._closed:
                self.fail(
                    NcodecError(
                        "no way to the other end was found: it is gone, or needs --stun or a relay "
                        "(--ice)"
                    )
                )

        peer.on("connectionstatechange", changed)
        return peer

    async def _offer(self) -> str:
        peer = self._connection()
        self._take(peer.createDataChannel(LABEL, ordered=False, maxRetransmits=0))
        await peer.setLocalDescription(await peer.createOffer())
        return self._described(peer.localDescription)

    async def _answer(self, offer: dict[str, str]) -> str:
        peer = self._connection()
        peer.on("datachannel", self._take)
        await peer.setRemoteDescription(self._rtc.RTCSessionDescription(**offer))
        if peer.sctp is None:
            raise ArgumentError("an offer without a data channel")
        await peer.setLocalDescription(await peer.createAnswer())
        return self._described(peer.localDescription)

    def _described(self, description: Any) -> str:
        """Return a line of JSON; say which servers gave nothing, as the library does not."""
        sdp: str = description.sdp
        for kind, relays, why in (
            ("srflx", False, "is it there?"),
            ("relay", True, "is it there, and are name and password right?"),
        ):
            asked = [each.urls[0] for each in self._servers if each.relays == relays]
            if asked and f"typ {kind}" not in sdp:
                log.warning("%s gave no address: %s", asked[0], why)
        return json.dumps({"type": description.type, "sdp": sdp})

    async def _accept(self, answer: dict[str, str]) -> None:
        if self._peer is None:
            raise ArgumentError("an answer where nothing was offered")
        await self._peer.setRemoteDescription(self._rtc.RTCSessionDescription(**answer))

    def _take(self, channel: Any) -> None:
        """Use a channel: this side's, or the one that the other side has opened."""
        self._channel = channel
        channel.on("message", self._came)

    def _came(self, data: bytes | str) -> None:
        if isinstance(data, bytes):
            self.came(data, time.monotonic())

    def _put(self, data: bytes) -> None:
        self._soon(self._send, data)

    def _send(self, data: bytes) -> None:
        channel = self._channel
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount < FULL:
            channel.send(data)

    async def _shutting(self) -> None:
        if self._peer is not None:
            await asyncio.wait_for(self._peer.close(), 3.0)


def _library() -> Any:
    try:
        return importlib.import_module("aiortc")
    except ImportError as error:
        raise ArgumentError(
            "aiortc is not installed: pip install aiortc, with Python 3.11 or later"
        ) from error


def _read(text: str, kind: str) -> dict[str, str]:
    """Read a line of JSON.

    Raises:
        ArgumentError: it is no description of that kind.
    """
    try:
        said: Any = json.loads(text) if len(text) <= LONGEST_DESCRIPTION else None
    except (ValueError, RecursionError):
        said = None
    sdp = said.get("sdp") if isinstance(said, dict) and said.get("type") == kind else None
    if not isinstance(sdp, str):
        raise ArgumentError(
            f"{text.strip()[:40]!r}: must be the {kind} of a call, one line of JSON"
        )
    return {"type": kind, "sdp": sdp}
