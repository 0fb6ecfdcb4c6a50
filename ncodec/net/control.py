"""What two ends of a call say besides sound: who they are, what arrived, good-bye.

The messages are RTCP packets of type APP (RFC 3550, 6.7) with the name "ncod", on the port of the
sound (RFC 5761); the subtype says which.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ncodec.errors import BadFileError
from ncodec.net.adapt import Report
from ncodec_formats import Header
from ncodec_formats.rtp import parse_sdp, sdp_lines

_APP, _NAME = 204, b"ncod"
_HEAD, _REPORT = struct.Struct("!BBHI4s"), struct.Struct("!HHIII")
_LONGEST_TEXT = 1000


@dataclass(frozen=True)
class Hello:
    """What will be sent: said until the other side's has come, and again from time to time."""

    model: str
    model_hash: bytes
    packet_frames: int
    layers: int
    text: str

    @classmethod
    def of(cls, header: Header) -> Hello:
        """Return what a header says."""
        return cls.parse("\n".join(sdp_lines(header)))

    @classmethod
    def parse(cls, text: str) -> Hello:
        """Read the lines of a session description.

        Raises:
            BadFileError: they are no description of codes of ncodec.
        """
        said = parse_sdp(text.splitlines())
        try:
            numbers = int(said["frames"]), int(said["layers"])
            return cls(str(said["model"])[:80], bytes.fromhex(str(said["hash"])), *numbers, text)
        except (KeyError, ValueError) as error:
            raise BadFileError(f"a description without what is needed: {error}") from error


@dataclass(frozen=True)
class Told:
    """A report, and the times that tell how long a message takes both ways, in milliseconds.

    `sent` is the teller's clock, `echo` the other's `sent` that came last, and `kept` how long
    before this message that was.
    """

    report: Report
    sent: int
    echo: int
    kept: int


@dataclass(frozen=True)
class Bye:
    """The end of a call; `ended` where no more is sent, but what comes is still listened to."""

    reason: str
    ended: bool = False


Message = Hello | Told | Bye


def is_control(data: bytes) -> bool:
    """Say whether a datagram is RTCP, not RTP (RFC 5761, 4)."""
    return len(data) >= 2 and data[0] >> 6 == 2 and 192 <= data[1] <= 223


def put_message(ssrc: int, message: Message) -> bytes:
    """Return the datagram of a message."""
    if isinstance(message, Hello):
        kind, body = 0, message.text.encode()
    elif isinstance(message, Told):
        lost, late = message.report.lost, message.report.late
        numbers = round(lost * 0xFFFF), min(round(late * 1000), 0xFFFF)
        times = (time & 0xFFFFFFFF for time in (message.sent, message.echo, message.kept))
        kind, body = 1, _REPORT.pack(*numbers, *times)
    else:
        kind, body = 3 if message.ended else 2, message.reason.encode()[:_LONGEST_TEXT]
    body += b"\0" * (-len(body) % 4)
    return _HEAD.pack(0x80 | kind, _APP, 2 + len(body) // 4, ssrc, _NAME) + body


def get_message(data: bytes) -> tuple[int, Message]:
    """Return the sender and the message of a datagram.

    Raises:
        BadFileError: it is none of these messages.
    """
    if len(data) < _HEAD.size or len(data) % 4:
        raise BadFileError(f"{len(data)} bytes that are no message")
    first, kind, words, ssrc, name = _HEAD.unpack_from(data)
    if (kind, name, 4 * words + 4, first & 0xE0) != (_APP, _NAME, len(data), 0x80):
        raise BadFileError("an RTCP packet that is no message of ncodec")
    body = data[_HEAD.size :]
    if first & 0x1F == 1 and len(body) == _REPORT.size:
        lost, late, *times = _REPORT.unpack(body)
        return ssrc, Told(Report(lost / 0xFFFF, late / 1000), *times)
    if len(body) > _LONGEST_TEXT or first & 0x1F not in (0, 2, 3):
        raise BadFileError(f"a message of kind {first & 0x1F} and {len(body)} bytes")
    try:
        text = body.rstrip(b"\0").decode()
        found = Hello.parse(text) if first & 0x1F == 0 else Bye(text, first & 0x1F == 3)
    except UnicodeDecodeError as error:
        raise BadFileError("a message that is no text") from error
    return ssrc, found
