"""A call: what both ends do with sound and datagrams, without sockets, threads or clocks."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import Samples
from ncodec.errors import ModelMismatchError, NcodecError
from ncodec.models.base import CompressionModel
from ncodec.net.adapt import RateControl, Report
from ncodec.net.control import Bye, Hello, Told, get_message, is_control, put_message
from ncodec.net.delays import RoundTrip
from ncodec.net.listener import Listener
from ncodec.net.talker import Talker
from ncodec.net.transport import HEADERS
from ncodec_formats import Header
from ncodec_formats.rtp import MAX_FRAMES, Rtp

HELLO_SECONDS, AGAIN_SECONDS, REPORT_SECONDS = 0.25, 5.0, 1.0
"""Between hellos, before the other side has answered and after, and between reports."""
GONE_SECONDS = 10.0
"""Without any word from the other side, after which it is taken for gone."""
INBOX = 1000
"""Datagrams that may wait for the codec: the oldest are dropped, they would be late anyway."""


@dataclass(frozen=True)
class CallStats:
    """One reading of a call: shares of the packets that were due, seconds, kbps.

    Attributes:
        seconds: since the first sound of the other side.
        lost: never came, in no form.
        late: came too late for any use.
        recovered: of which a copy was used.
        concealed: of which nothing was there at the time; some were mended after.
        buffer: seconds held against jitter.
        target: seconds that should be.
        kbps: of the codes, with copies, and with all headers.
        codebooks: that are sent now.
        copies: of each packet that are sent now.
        mouth_to_ear: seconds, devices not counted; None while the way there and back is not known.
        usual_delay: the median of that since the beginning.
        round_trip: seconds of the network, both ways; None while it is not known.
        garbage: datagrams that were none of the call's.
    """

    seconds: float
    lost: float
    late: float
    recovered: float
    concealed: float
    buffer: float
    target: float
    kbps: tuple[float, float, float]
    codebooks: int
    copies: int
    mouth_to_ear: float | None
    usual_delay: float | None
    round_trip: float | None
    garbage: int


class Call:
    """Both directions of a call.

    Sound is `[C, T]` of the model's rate and channels. All but `receive` belong to one thread.
    """

    def __init__(
        self,
        model: CompressionModel,
        send: Callable[[bytes], None],
        *,
        codebooks: int | None = None,
        bandwidth: float | None = None,
        packet_frames: int = 1,
        redundancy: tuple[int, int] | None = None,
        headers: int = HEADERS,
        dice: random.Random | None = None,
    ) -> None:
        """Prepare.

        Args:
            model: of both sides.
            send: takes a datagram.
            codebooks: the most to send; or `bandwidth` in kbps.
            bandwidth: of the codes.
            packet_frames: frames a packet, 1 to 8.
            redundancy: layers and number of copies; None to adapt.
            headers: bytes that the way adds to a payload, to be told with the bitrates.
            dice: for numbers that begin at random.

        Raises:
            ArgumentError: a value out of range, or a model that codes segments.
        """
        self.talker = Talker(
            model, codebooks=codebooks, bandwidth=bandwidth, packet_frames=packet_frames, dice=dice
        )
        self.listener: Listener | None = None
        self.model, self._send, self._headers = model, send, headers
        self._control = RateControl(self.talker.codebooks, redundancy)
        self._hello = Hello.of(self.talker.header)
        self._inbox = deque[tuple[bytes, float]](maxlen=INBOX)
        self._peer: int | None = None
        self._greeted = False
        self._hello_at = self._report_at = float("-inf")
        self._heard_at: float | None = None
        self._their_time: tuple[int, float] | None = None
        self._round_trip = RoundTrip()
        self._garbage = 0
        self.ended = self.they_ended = self.they_left = False
        self.left_because = ""
        self.on_heard: Callable[[NDArray[np.uint16]], None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the other side has said who it is."""
        return self.listener is not None

    def receive(self, data: bytes, arrival: float) -> None:
        """Take a datagram that came at `arrival` seconds; from any thread."""
        self._inbox.append((data, arrival))

    def push(self, samples: Samples, now: float) -> None:
        """Take what the microphone hears; nothing is coded before somebody listens."""
        self.work(now)
        if not self.connected:
            return
        control = self._control
        self.talker.codebooks, self.talker.redundancy = control.codebooks, control.redundancy
        for data in self.talker.push(samples):
            self._send(data)

    def pull(self, now: float) -> Samples:
        """Return what the speaker plays next: about a packet's length, never nothing."""
        self.work(now)
        if self.listener is None:
            return np.zeros((self.model.channels, self.model.hop), np.float32)
        before = self.listener.buffer.next
        y = self.listener.pull(now)
        if self.on_heard is not None and self.listener.buffer.next != before:
            self.on_heard(self.listener.codes)
        return y

    def work(self, now: float) -> None:
        """Take what came, and say what is due.

        Raises:
            ModelMismatchError: the other side codes with another model.
            NcodecError: the other side has gone without a word.
        """
        while self._inbox:
            self._take(*self._inbox.popleft())
        if now - self._hello_at >= (AGAIN_SECONDS if self._greeted else HELLO_SECONDS):
            self._hello_at = now
            self._say(self._hello)
        if self.connected and now - self._report_at >= REPORT_SECONDS:
            self._report_at = now
            self._say_report(now)
            if self.ended:
                self.end()
        if self._heard_at is not None and now - self._heard_at > GONE_SECONDS:
            raise NcodecError(f"nothing came from the other side for {GONE_SECONDS:g} s")

    def end(self) -> None:
        """Say that no more is said, and again with each report; what comes is still heard."""
        self.ended = True
        self._say(Bye("", ended=True))

    def leave(self, reason: str = "") -> None:
        """Say good-bye; more than once, since it may be lost."""
        for _ in range(3):
            self._say(Bye(reason))

    def stats(self) -> CallStats:
        """Read the meters."""
        listener, talker = self.listener, self.talker
        counts = None if listener is None else listener.buffer.counts
        due = max(1, counts.places) if counts else 1
        length = self.talker.header.hop / self.talker.header.sample_rate
        held = target = 0.0
        ear = usual = None
        there_and_back = self._round_trip.seconds
        if listener is not None:
            held, target = listener.buffer.held, listener.buffer.target
            length *= listener.header.packet_frames
            if there_and_back is not None:
                ahead = self.model.latency_samples / self.model.sample_rate
                beside = length + there_and_back / 2 + ahead
                ear, usual = beside + held, beside + listener.buffer.usual
        return CallStats(
            seconds=listener.played if listener else 0.0,
            lost=counts.missing / due if counts else 0.0,
            late=counts.late / due if counts else 0.0,
            recovered=counts.copies / due if counts else 0.0,
            concealed=listener.concealed / due if listener else 0.0,
            buffer=held,
            target=target,
            kbps=talker.sent.kbps(self._headers),
            codebooks=talker.codebooks,
            copies=talker.redundancy[1],
            mouth_to_ear=ear,
            usual_delay=usual,
            round_trip=there_and_back,
            garbage=self._garbage + (listener.garbage if listener else 0),
        )

    def _take(self, data: bytes, arrival: float) -> None:
        try:
            if is_control(data):
                ssrc, message = get_message(data)
                self._hear(ssrc, message, arrival)
                return
            rtp = Rtp.from_bytes(data)
        except ModelMismatchError:
            raise
        except NcodecError:
            self._garbage += 1
            return
        if self.listener is None:
            return  # its hello was lost, or is late
        if rtp.ssrc != self._peer:
            self._garbage += 1
            return
        self._heard_at = arrival
        self.listener.receive(rtp, arrival)

    def _hear(self, ssrc: int, message: Hello | Told | Bye, arrival: float) -> None:
        if isinstance(message, Hello):
            if ssrc != self._peer or self.listener is None:
                self._report_at = arrival  # before, there is nothing to report
                self._meet(ssrc, message)
        elif ssrc != self._peer:
            self._garbage += self.connected
            return
        elif isinstance(message, Told):
            self._greeted = True
            self._control.take(message.report)
            self._their_time = message.sent, arrival
            self._round_trip.see(message.sent, message.echo, message.kept, arrival)
        else:
            self.they_ended = True
            self.they_left = self.they_left or not message.ended
            self.left_because = message.reason
        self._heard_at = arrival

    def _meet(self, ssrc: int, hello: Hello) -> None:
        """Prepare to listen to whom we have not heard before, or who begins anew."""
        if hello.model_hash != self.model.fingerprint:
            ours, theirs = self.model.fingerprint.hex()[:12], hello.model_hash.hex()[:12]
            self.leave(f"codes with {self.model.name} ({ours})")
            raise ModelMismatchError(
                f"the other side codes with model {hello.model} ({theirs}); "
                f"{self.model.name} here is {ours}"
            )
        most = self.model.total_codebooks
        if not (1 <= hello.packet_frames <= MAX_FRAMES and 1 <= hello.layers <= most):
            self._garbage += 1
            return
        self._peer, self._greeted = ssrc, False
        self._round_trip, self._their_time = RoundTrip(), None
        self.they_ended = self.they_left = False
        self.listener = Listener(self.model, self._header(hello))

    def _header(self, hello: Hello) -> Header:
        """Return the header of what they send: ours, but for what they may choose."""
        return replace(
            self.talker.header,
            packet_frames=hello.packet_frames,
            block_frames=hello.packet_frames,
            codebook_sizes=tuple(self.model.codebook_sizes[: hello.layers]),
        )

    def _say_report(self, now: float) -> None:
        assert self.listener is not None
        echo, kept = 0, 0.0
        if self._their_time is not None:
            echo, kept = self._their_time[0], now - self._their_time[1]
        report = self.listener.report()
        sent, kept = round(now * 1000) & 0xFFFFFFFF, round(max(kept, 0) * 1000)
        self._say(Told(Report(report.lost, report.late), sent, echo, kept))

    def _say(self, message: Hello | Told | Bye) -> None:
        self._send(put_message(self.talker.ssrc, message))
