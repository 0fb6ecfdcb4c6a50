"""What every file of codes is turned into: an ECDC 1 header and packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ncodec.checkpoints.cache import model_path
from ncodec.checkpoints.loading import find
from ncodec.checkpoints.model_file import read_model_info
from ncodec.checkpoints.registry import REGISTRY
from ncodec.config import Shape
from ncodec.errors import ArgumentError, BadFileError, CheckpointError
from ncodec.models.families import find_family
from ncodec_formats import Header, Loss, Losses, Packet

NO_HASH = bytes(32)
"""Stands in a header for weights that are not known."""


def shape_of(name: str) -> Shape:
    """Return the shape of a model by name, whether or not its weights are on this machine.

    Raises:
        CheckpointError: The name is not known.
    """
    entry = REGISTRY.get(name)
    known = entry is not None and entry.config and not model_path(name).is_file()
    if known and entry is not None:
        family, config = entry.family, entry.config
    else:
        info = read_model_info(find(name))
        family, config = info.family, info.config
    try:
        return find_family(family).config.from_dict(config).shape()
    except ArgumentError as error:
        raise CheckpointError(f"{name}: its files cannot be converted ({error})") from error


@dataclass
class Content:
    """A file of codes, whatever its kind.

    Attributes:
        kind: "ecdc", "ecdc0", "dac", "npz" or "safetensors".
        header: As ECDC 1 would describe it; `model_hash` is `NO_HASH` where the file has none.
        packets: Its codes, once through.
        source_samples: Length of the source at its own rate.
        again: Opens the codes anew, for those who need them twice.
        notes: What else the file says, for people.
    """

    kind: str
    header: Header
    packets: Iterator[Packet]
    source_samples: int
    again: Callable[[], Iterator[Packet]]
    notes: dict[str, object] = field(default_factory=dict[str, object])


class ForeignReader:
    """Content with the interface of an `EcdcReader`, so that it decodes like a file of our own."""

    def __init__(self, content: Content, model: Any, *, keep_going: bool = False) -> None:
        """Begin at the first packet; `model` is what the packets decode with.

        With `keep_going` the packets end where the file is damaged; `losses` says so.
        """
        self._keep_going = keep_going
        self.header = content.header
        self.model = model
        self.total_samples: int | None = content.source_samples
        self.losses = Losses()
        self.problems: list[str] = []
        self.content = content
        self._packets = content.packets
        self._waiting: Packet | None = None

    def __iter__(self) -> Iterator[Packet | Loss]:
        """Iterate over the packets."""
        if self._waiting is not None:
            first, self._waiting = self._waiting, None
            yield first
        try:
            yield from self._packets
        except BadFileError as error:
            if not self._keep_going:
                raise
            self.losses.truncated = True
            self.problems.append(str(error))

    def seek(self, frame: int) -> None:
        """Go to the packet that has `frame`."""
        self._packets = self.content.again()
        for packet in self._packets:
            if packet.first_frame + packet.frames > frame:
                self._waiting = packet
                return


def make_content_header(
    name: str,
    shape: Shape,
    *,
    streams: int,
    codebooks: int,
    source_rate: int,
    source_channels: int,
    source_samples: int,
    gain_db: float = 0.0,
) -> Header:
    """Describe codes of the model `name` whose weights are not known."""
    frames = -(-(shape.segment[0] if shape.segment else shape.sample_rate) // shape.hop)
    return Header(
        model=name,
        model_hash=NO_HASH,
        sample_rate=shape.sample_rate,
        hop=shape.hop,
        streams=streams,
        codebook_sizes=(shape.bins,) * codebooks,
        packet_frames=frames,
        preroll_frames=0,
        block_frames=frames,
        source_rate=source_rate,
        source_channels=source_channels,
        source_samples=source_samples,
        segment=shape.segment,
        gain_db=gain_db,
    )


def with_model(header: Header, model: Any) -> Header:
    """Return the header with what only the model itself can tell."""
    return replace(
        header,
        model=model.name,
        model_hash=model.fingerprint,
        preroll_frames=model.preroll_frames,
        postroll_frames=model.postroll_frames,
    )


def packets_of(codes: np.ndarray, scales: np.ndarray | None, sizes: list[int]) -> Iterator[Packet]:
    """Cut codes `[K, S, F]` into packets of `sizes` frames, a scale `[packets, S]` with each."""
    at = 0
    for number, frames in enumerate(sizes):
        part = np.ascontiguousarray(codes[:, :, at : at + frames], np.uint16)
        scale = None if scales is None else scales[number].astype(np.float32)
        # A segment's packet stands on the timeline of whole segments.
        yield Packet(number, number * sizes[0], part, scale)
        at += frames


def whole(content: Content) -> tuple[np.ndarray, np.ndarray | None, list[int]]:
    """Return all codes `[K, S, F]`, the scales `[packets, S]` if any, and each packet's frames.

    Raises:
        BadFileError: A packet has fewer layers than the header says.
    """
    codes: list[np.ndarray] = []
    scales: list[np.ndarray] = []
    for packet in complete(content):
        codes.append(packet.codes)
        if packet.scale is not None:
            scales.append(packet.scale)
    empty = np.zeros((len(content.header.codebook_sizes), content.header.streams, 0), np.uint16)
    joined = np.concatenate([empty, *codes], axis=2)
    return joined, np.stack(scales) if scales else None, [c.shape[2] for c in codes]


def complete(content: Content) -> Iterator[Packet]:
    """Yield the packets; each must have every layer and follow the one before it.

    Raises:
        BadFileError: One does not: other kinds of file have no place for gaps.
    """
    expected = content.header.first_frame
    if expected or content.header.start:
        raise ArgumentError("a cut file: only whole recordings can be converted")
    layers = len(content.header.codebook_sizes)
    for packet in content.packets:
        if packet.first_frame != expected:
            raise BadFileError(f"frames {expected} to {packet.first_frame} are missing")
        if packet.codes.shape[0] != layers:
            raise BadFileError(
                f"the packet at frame {expected} has {packet.codes.shape[0]} of {layers} "
                f"codebooks: other kinds of file have no place for that"
            )
        expected += content.header.packet_frames
        yield packet
