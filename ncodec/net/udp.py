"""Calls over UDP: one socket, one peer, arrivals stamped by the kernel."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any

from ncodec.errors import ArgumentError, NcodecError
from ncodec.net.bad_line import Conditions
from ncodec.net.control import Hello, get_message, is_control
from ncodec.net.transport import Transport

LONGEST = 2048
"""Bytes of a datagram that are read: more than a call ever sends."""
DROP_SECONDS = 3.0
"""A peer who has been silent for so long gives way to another who says hello."""
_STAMPS = getattr(socket, "SO_TIMESTAMPNS", 35) if sys.platform == "linux" else None
_TIME = struct.Struct("@qq" if sys.maxsize > 2**32 else "@ll")


def parse_address(text: str, *, host: str | None = None) -> tuple[str, int]:
    """Return host and port of "host:port", "[::1]:port" or, with a default host, "port".

    Raises:
        ArgumentError: it is none.
    """
    name, colon, port = text.rpartition(":")
    if not colon and host is not None:
        name = host
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    good = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not good or (not bare and host is None) or (":" in bare and bare == name):
        form = "HOST:PORT" if host is None else "PORT or HOST:PORT"
        raise ArgumentError(f"address {text!r}: must be {form}, with a port from 1 to 65535")
    return bare or str(host), int(port)


class Udp(Transport):
    """Datagrams to and from one address.

    Who listens takes the first that says hello, and another only when that one has been silent.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        listen: bool = False,
        conditions: Conditions | None = None,
    ) -> None:
        """Open a socket to an address, or at it; an empty host listens everywhere.

        Raises:
            ArgumentError: no such host, or the port is taken.
        """
        super().__init__(conditions)
        self._listens = listen
        if not listen:
            self.hint = "does `ncodec call --listen PORT` run there?"
        self._peer: Any = None
        self._heard_at = 0.0
        try:
            self._socket = _listening(*address) if listen else _calling(*address)
        except OSError as error:
            self.loop.close()
            where = f"{address[0] or 'any address'}, port {address[1]}"
            raise ArgumentError(f"{where}: {error.strerror or error}") from error
        self._socket.setblocking(False)
        self.hello = f"listening on port {self.port}" if listen else f"calling {self.peer}"
        if _STAMPS is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, _STAMPS, 1)

    @property
    def peer(self) -> str | None:
        """Who is at the other end; None while nobody is."""
        address = self._peer
        if not self._listens:
            address = self._socket.getpeername()
        if address is None:
            return None
        host = str(address[0]).removeprefix("::ffff:")
        return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"

    @property
    def port(self) -> int:
        """The port at this end."""
        return int(self._socket.getsockname()[1])

    def _put(self, data: bytes) -> None:
        try:
            if not self._listens:
                self._socket.send(data)
            elif self._peer is not None:
                self._socket.sendto(data, self._peer)
        except ConnectionRefusedError:
            self.refused = True
        except (BlockingIOError, InterruptedError):
            pass  # the queue is full: as lost as in any other on the way
        except OSError as error:
            if not self._closed:
                self.fail(NcodecError(f"cannot send to {self.peer}: {error.strerror or error}"))

    async def _opening(self) -> None:
        self.loop.add_reader(self._socket.fileno(), self._read)

    async def _shutting(self) -> None:
        self.loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        """Read all that is there: what stays in the kernel's queue is dropped without a word."""
        for _ in range(1000):
            try:
                data, stamp, sender = self._receive()
            except ConnectionError:
                self.refused = True
                continue
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if not self._closed:
                    self.fail(NcodecError(f"the network: {error.strerror or error}"))
                return
            if self._listens and not self._knows(sender, data):
                continue
            self.refused = False
            self.came(data, stamp)

    def _receive(self) -> tuple[bytes, float, Any]:
        """Return a datagram, its arrival on this process's clock, and who sent it."""
        if not hasattr(self._socket, "recvmsg"):  # Windows
            data, sender = self._socket.recvfrom(LONGEST)
            return data, time.monotonic(), sender
        data, extra, _, sender = self._socket.recvmsg(LONGEST, 64)
        now, ago = time.monotonic(), 0.0
        for level, kind, content in extra:
            if level == socket.SOL_SOCKET and kind == _STAMPS and len(content) >= _TIME.size:
                seconds, parts = _TIME.unpack_from(content)
                ago = time.time() - seconds - parts * 1e-9
        # A clock that was set meanwhile says nothing.
        return data, now - ago if 0 <= ago < DROP_SECONDS else now, sender

    def _knows(self, sender: Any, data: bytes) -> bool:
        now = time.monotonic()
        if sender != self._peer:
            if self._peer is not None and now - self._heard_at < DROP_SECONDS:
                return False
            if not _is_hello(data):
                return False
            self._peer = sender
        self._heard_at = now
        return True


def _is_hello(data: bytes) -> bool:
    try:
        return is_control(data) and isinstance(get_message(data)[1], Hello)
    except NcodecError:
        return False


def _calling(host: str, port: int) -> socket.socket:
    error: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_DGRAM
    ):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.connect(address)
        except OSError as failed:
            opened.close()
            error = failed
        else:
            return opened
    raise error or OSError(f"no address of {host}")


def _listening(host: str, port: int) -> socket.socket:
    """Open a port; without a host for both kinds of addresses, where there are both."""
    if host:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        family, address = found[0], found[4]
    elif socket.has_ipv6 and os.path.exists("/proc/net/if_inet6") | (sys.platform != "linux"):
        family, address = socket.AF_INET6, ("::", port)
    else:
        family, address = socket.AF_INET, ("", port)
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6 and not host:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened
