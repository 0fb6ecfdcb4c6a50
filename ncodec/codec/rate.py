"""RateControl: how many layers each packet keeps, so that the whole file averages a bitrate.

A packet's layers are worth what they take off the error of its latents. One price for that, bytes
against error, holds for all packets; it is what makes the packets of the past minute average their
budget, and rises and falls with what is in hand.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray

from ncodec.models.base import CompressionModel
from ncodec_formats import Header, Packet

REMEMBERED = 64
"""Packets of the past whose price is looked for."""
RESERVOIR = 8
"""Budgets of a packet over which what is in hand is spent, and that may be owed at most."""
LEAST = 2
"""Layers of anything that is not silence, unless the bitrate has no room for so many."""

Floats = NDArray[np.float64]


class RateControl:
    """Chooses the layers of one packet after the other.

    Args:
        model: Whose codes they are.
        header: Of the file.
        kbps: Of the whole file, all of its bytes counted.
        packets: How many there will be, where that is known: then what is left is spent at the end.
    """

    def __init__(
        self, model: CompressionModel, header: Header, kbps: float, packets: int | None = None
    ) -> None:
        self._model, self._header, self._packets = model, header, packets
        self._bytes_a_frame = kbps * 125 * header.hop / header.sample_rate
        self._past = deque[tuple[Floats, Floats]](maxlen=REMEMBERED)
        self._silence: NDArray[np.uint16] | None = None
        self._given = 0

    def choose(self, packet: Packet, sizes: list[int], spent: int) -> int:
        """Return how many layers of a packet to keep.

        Args:
            packet: With all layers that there are.
            sizes: Its bytes with 0, 1 and so on of them.
            spent: Bytes of the file, if it ended before this packet.
        """
        self._given += 1
        if self._is_silent(packet.codes):
            return 0
        budget = self._bytes_a_frame * packet.frames
        hand = self._bytes_a_frame * packet.first_frame - spent
        least = min(LEAST if hand > -budget else 1, len(packet.codes))
        errors, taken = self._errors(packet), np.array(sizes, np.float64)
        self._past.append((errors[least:], taken[least:] / budget))
        span = RESERVOIR if self._packets is None else max(1, self._packets - self._given + 1)
        span = min(RESERVOIR, span)
        price = self._price() * math.exp(np.clip(-hand / (span * budget), -30, 30))
        chosen = least + _cheapest(errors[least:], taken[least:] / budget, price)
        owed = hand + budget - taken
        while chosen > least and owed[chosen] < -span * budget / 2:
            chosen -= 1
        return chosen

    def _price(self) -> float:
        """Return the price at which the packets of the past average their budget."""
        low, high = -40.0, 40.0
        for _ in range(40):
            middle = (low + high) / 2
            price = math.exp(middle)
            mean = np.mean([sizes[_cheapest(e, sizes, price)] for e, sizes in self._past])
            low, high = (middle, high) if mean > 1 else (low, middle)
        return math.exp(high)

    def _errors(self, packet: Packet) -> Floats:
        """Return the squared error of the latents with 0, 1 and so on of the layers."""
        codes = torch.from_numpy(packet.codes.astype(np.int64)).transpose(0, 1)
        codes = codes.to(self._model.device)
        with torch.inference_mode():
            whole = self._model.decode_latent(codes).double()
            found = [float(whole.square().sum())]
            for k in range(1, codes.shape[1]):
                less = self._model.decode_latent(codes[:, :k]).double()
                found.append(float((whole - less).square().sum()))
        return np.array([*found, 0.0])

    def _is_silent(self, codes: NDArray[np.uint16]) -> bool:
        """Say whether codes are those of digital silence, frame for frame."""
        if self._silence is None:
            model = self._model
            frames = 4 + model.preroll_frames + model.postroll_frames
            zeros = torch.zeros(1, model.channels, frames * model.hop, device=model.device)
            with torch.inference_mode():
                found = model.encode(zeros)[0][0, :, -1 - model.postroll_frames]
            self._silence = found.cpu().numpy().astype(np.uint16)
        silence = self._silence[: len(codes), None, None]
        return len(silence) == len(codes) and bool((codes == silence).all())


def _cheapest(errors: Floats, sizes: Floats, price: float) -> int:
    return int(np.argmin(errors + price * sizes))
