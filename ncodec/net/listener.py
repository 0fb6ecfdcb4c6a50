"""The receiving side: datagrams in as they come, sound out on a clock, without a gap.

A packet that comes after its time is not wasted: sound is made of frames that lie ahead of it too,
so the decoder goes back to before that packet, takes it, and goes on as if it had come in time.
What has been heard already stays; what is heard next is right.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import Samples
from ncodec.codec import StreamDecoder
from ncodec.errors import NcodecError
from ncodec.models.base import CompressionModel
from ncodec.net.adapt import Report
from ncodec.net.jitter import Item, JitterBuffer
from ncodec.net.stretch import Stretcher, fade_over
from ncodec_formats import Header, Loss, Packet
from ncodec_formats.rtp import Counter, Payload, Rtp

Codes = NDArray[np.uint16]

FADE_SECONDS = 0.002
"""From what the decoder would have gone on with to what it says after going back."""
SETTLE_SECONDS = 2.0
"""At the beginning, when neither the fastest packet is known yet nor whether copies will be sent,
time is cut wherever it is."""


@dataclass
class Step:
    """What the decoder took: its state before, the packet's number, and what it was told."""

    before: StreamDecoder
    number: int
    told: Packet | Loss

    @property
    def worth(self) -> int:
        """Layers, 0 of silence; less than nothing where something is lost."""
        return len(self.told.codes) if isinstance(self.told, Packet) else -1


class Listener:
    """Decode one sender's packets; `pull` gives about a packet's length each time.

    What is pulled is `[C, T]` at the model's rate. Nothing here waits: `pull` says what is heard
    now, whatever has come.
    """

    def __init__(self, model: CompressionModel, header: Header, *, replay: bool = True) -> None:
        """Prepare for a sender who codes as `header` says, at the model's own rate.

        Args:
            model: the one that the header names.
            header: as the sender has it.
            replay: go back for packets that come late.
        """
        self.header = header
        frames = header.packet_frames
        ahead = model.latency_samples // model.hop if replay else 0
        past = -(-ahead // frames)
        self._block = frames * header.hop
        # By so much the deadline is before the quantile, since what is late by no more is mended.
        early = (ahead + 0.5) / (frames + 0.5) * header.hop / header.sample_rate if past else 0.0
        self.buffer = JitterBuffer[Codes](self._block / header.sample_rate, past=past, early=early)
        self._decoder = StreamDecoder(model, header, gapless=False)
        self._steps: deque[Step] = deque(maxlen=past)
        self._ready = np.zeros((model.channels, model.latency_samples), np.float32)
        self._stretcher = Stretcher(header.sample_rate, model.channels)
        self._count = 0
        self._sequence, self._timestamp = Counter(16), Counter(32)
        self._seen = set[int]()
        self._reported = self._highest = None
        self.garbage = self.replays = self.concealed = 0
        self.codes = np.zeros((0, header.streams, frames), np.uint16)

    _reported: int | None
    _highest: int | None
    codes: Codes
    """What was decoded last; of 0 layers where it was silent or lost."""

    def receive(self, rtp: Rtp, arrival: float) -> None:
        """Take an RTP packet of this sender that came at `arrival` seconds."""
        try:
            payload = Payload.from_bytes(rtp.payload, self.header)
        except NcodecError:
            self.garbage += 1
            return
        if payload.frames != self.header.packet_frames:
            self.garbage += 1
            return
        timestamp = self._timestamp.nearest(rtp.timestamp)
        number, odd = divmod(timestamp - self._origin(timestamp), self._block)
        if odd:
            self.garbage += 1
            return
        if not self.buffer.put(number, Item(payload.codes, len(payload.codes)), arrival):
            return
        self._timestamp.see(rtp.timestamp)
        self._count_sequence(rtp.sequence)
        self.buffer.tell_copies(sent=bool(payload.copies))
        for back, codes in enumerate(reversed(payload.copies), 1):
            self.buffer.put_copy(number - back, Item(codes, len(codes)))

    def pull(self, now: float) -> Samples:
        """Return what is heard next, `[C, T]`, T > 0; `now` is on the clock of the arrivals."""
        wait = self.buffer.wait(now)
        length = self._block / self.header.sample_rate
        if wait is None or wait > 0:
            seconds = length if wait is None else min(wait, length)
            samples = max(1, round(seconds * self.header.sample_rate))
            self.codes = self.codes[:0]
            return np.zeros((self._ready.shape[0], samples), np.float32)
        past = self._go_back()
        item = self.buffer.take(now)
        told = self._told(item)
        self.concealed += isinstance(told, Loss)
        self.codes = told.codes if isinstance(told, Packet) else self.codes[:0]
        x = self._step(self.buffer.taken, told)
        if past is not None:
            x = self._fade(past.push(told), x)
        self._count += 1
        early = self._count * length < SETTLE_SECONDS
        y, done = self._stretcher.push(self._whole(x), self.buffer.excess, anywhere=early)
        self.buffer.correct(done)
        return y if y.shape[1] else self.pull(now)

    @property
    def played(self) -> float:
        """Seconds of the sender's sound that have been pulled."""
        return self._count * self._block / self.header.sample_rate

    @property
    def timestamp(self) -> int:
        """The sender's timestamp, made whole, of the packet that was pulled last."""
        return (self._first or 0) + self.buffer.taken * self._block

    def report(self) -> Report:
        """Return what to tell the sender of the time since the last report."""
        highest, before = self._highest, self._reported
        self._reported = highest
        if highest is None:
            return Report(0.0, 0.0)
        first = min(self._seen, default=highest) if before is None else before + 1
        expected = highest - first + 1
        came = sum(first <= number <= highest for number in self._seen)
        self._seen = {number for number in self._seen if number > highest}
        lost = 1 - came / expected if expected > 0 else 0.0
        return Report(min(max(lost, 0.0), 1.0), self.buffer.typical_lateness())

    def _origin(self, timestamp: int) -> int:
        """Return the timestamp that number 0 stands for: that of the first packet."""
        if self._first is None:
            self._first = timestamp
        return self._first

    _first: int | None = None

    def _count_sequence(self, sequence: int) -> None:
        number = self._sequence.see(sequence)
        self._highest = number if self._highest is None else max(number, self._highest)
        self._seen.add(number)

    def _told(self, item: Item[Codes] | None) -> Packet | Loss:
        """Return what to tell the decoder, whose numbers are its own: it never jumps."""
        frames = self.header.packet_frames
        if item is not None:
            return Packet(self._count, self._count * frames, item.content)
        if self.buffer.silent:
            return Packet(self._count, self._count * frames, self.codes[:0])
        return Loss(self._count * frames, frames, "lost")

    def _step(self, number: int, told: Packet | Loss) -> Samples:
        """Let the decoder take the next, and remember how it was before."""
        self._steps.append(Step(self._decoder.snapshot(), number, told))
        return self._decoder.push(told)

    def _go_back(self) -> StreamDecoder | None:
        """Decode again from the first packet of which more is known now; return the old decoder."""
        steps = list(self._steps)
        better = [self._better(step) for step in steps]
        place = next((i for i, item in enumerate(better) if item is not None), None)
        if place is None:
            return None
        old, self._decoder = self._decoder, steps[place].before
        for _ in steps[place:]:
            self._steps.pop()
        for step, item in zip(steps[place:], better[place:], strict=True):
            told = step.told
            if item is not None:
                first = told.first_frame
                told = Packet(first // self.header.packet_frames, first, item.content)
            self._step(step.number, told)
        self.replays += 1
        return old

    def _better(self, step: Step) -> Item[Codes] | None:
        """Return what is known now of a step's packet, if the decoder was told less."""
        item = self.buffer.look(step.number)
        return item if item is not None and item.worth > step.worth else None

    def _fade(self, old: Samples, new: Samples) -> Samples:
        """Go over from what would have come to what does."""
        count = min(round(FADE_SECONDS * self.header.sample_rate), old.shape[1], new.shape[1])
        return np.concatenate([fade_over(old[:, :count], new[:, :count]), new[:, count:]], axis=1)

    def _whole(self, x: Samples) -> Samples:
        """Return a packet's length: what a decoder looks ahead is missing at first."""
        joined = np.concatenate([self._ready, x], axis=1)
        self._ready = joined[:, self._block :]
        return joined[:, : self._block]
