"""One direction of a call in simulated time: talker, bad line, listener, two clocks."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ncodec.audio import Samples
from ncodec.models.base import CompressionModel
from ncodec.net.adapt import RateControl
from ncodec.net.bad_line import BadLine, Conditions
from ncodec.net.listener import Listener
from ncodec.net.talker import Talker
from ncodec_formats.rtp import Rtp


@dataclass(frozen=True)
class Heard:
    """What came of it.

    Attributes:
        samples: `[C, T]`, of the listener's clock, from when the talker began.
        delays: mouth to ear in seconds, of each pull after the first packet.
        talker: as it was at the end.
        listener: as it was at the end.
    """

    samples: Samples
    delays: list[float]
    talker: Talker
    listener: Listener


def simulate(
    model: CompressionModel,
    x: Samples,
    conditions: Conditions,
    *,
    codebooks: int | None = None,
    packet_frames: int = 1,
    redundancy: tuple[int, int] | None = None,
    replay: bool = True,
    ppm: float = 0.0,
    spoil: Callable[[int, bytes], bytes] | None = None,
) -> Heard:
    """Send samples `[C, T]` of the model's rate over a line; no time is taken but the codec's.

    Args:
        model: of both sides.
        x: what is said.
        conditions: of the line.
        codebooks: of the talker.
        packet_frames: frames a packet.
        redundancy: layers and number of copies; None to adapt to reports, one a second.
        replay: as `Listener` takes it.
        ppm: by how much the listener's clock is fast, in millionths.
        spoil: called with each datagram's number and bytes; what it returns is sent.
    """
    dice = random.Random(conditions.seed)  # noqa: S311
    talker = Talker(model, codebooks=codebooks, packet_frames=packet_frames, dice=dice)
    listener = Listener(model, talker.header, replay=replay)
    control = RateControl(talker.codebooks, redundancy)
    line = BadLine(conditions, "there")
    ear = _Ear(listener, talker.first_timestamp + model.latency_samples, 1 + ppm * 1e-6)
    block = packet_frames * model.hop
    told, number = 0.0, 0
    for place in range(0, x.shape[1] - block + 1, block):
        spoken = (place + block) / model.sample_rate
        ear.hear_until(spoken)
        if spoken - told >= 1:
            told = spoken
            control.take(listener.report())
        talker.codebooks, talker.redundancy = control.codebooks, control.redundancy
        for data in talker.push(x[:, place : place + block]):
            sent = data if spoil is None else spoil(number, data)
            for arrival in line.carry(spoken, len(sent) + 28):
                heapq.heappush(ear.events, (arrival, number, sent))
            number += 1
    return Heard(np.concatenate(ear.heard, axis=1), ear.delays, talker, listener)


class _Ear:
    """A listener with its clock, which is `pace` times as fast as the talker's."""

    def __init__(self, listener: Listener, first: int, pace: float) -> None:
        """Prepare; `first` is the timestamp whose sound, once pulled, was said at 0 s."""
        self._listener, self._first, self._pace = listener, first, pace
        self._rate = listener.header.sample_rate
        self._now = 0.0
        self.events: list[tuple[float, int, bytes]] = []
        self.heard, self.delays = list[Samples](), list[float]()

    def hear_until(self, then: float) -> None:
        """Pull sound, and take what arrives meanwhile."""
        listener = self._listener
        while self._now < then:
            while self.events and self.events[0][0] <= self._now:
                arrival, _, data = heapq.heappop(self.events)
                listener.receive(Rtp.from_bytes(data), arrival)
            y = listener.pull(self._now)
            if listener.buffer.started:
                spoken = (listener.timestamp - self._first) / self._rate
                self.delays.append(self._now - spoken)
            self.heard.append(y)
            self._now += y.shape[1] / self._rate / self._pace
