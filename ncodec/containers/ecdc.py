"""`.ecdc` files of both versions as `Content`, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import torch

from ncodec.containers.content import (
    NO_HASH,
    Content,
    complete,
    make_content_header,
    shape_of,
    with_model,
)
from ncodec.errors import ArgumentError, BadFileError, CheckpointError
from ncodec.models.encodec_lm import EncodecLM
from ncodec.regroup import Regroup
from ncodec_formats import EcdcReader, EcdcWriter, Header, Loss, Packet
from ncodec_formats.entropy.arithmetic import quantize_cdf
from ncodec_formats.foreign.ecdc0 import MODELS, Ecdc0Reader, Ecdc0Writer, Header0

LoadModel = Callable[[str], Any]
"""Gives the model of a name; of `ncodec.checkpoints.load`'s kind."""


def read_ecdc1(file: BinaryIO) -> Content:
    """Read a file of version 1: one link, undamaged, whose end is known."""
    begin = file.tell()
    reader = EcdcReader(file)
    total = reader.total_samples
    if total is None:
        raise BadFileError("the file has no end: `ncodec repair` gives it one")

    def packets(source: EcdcReader) -> Iterator[Packet]:
        for item in source:
            if isinstance(item, Loss):
                raise BadFileError(f"frames {item.first_frame} on are lost: {item.reason}")
            yield item

    def again() -> Iterator[Packet]:
        file.seek(begin)
        return packets(EcdcReader(file))

    return Content("ecdc", reader.header, packets(reader), total, again)


def write_ecdc1(
    content: Content,
    file: BinaryIO,
    load: LoadModel,
    plan: Callable[[Header], Header] = lambda header: header,
) -> list[str]:
    """Write version 1; the header names the weights, so the model must be at hand.

    `plan` says of a header how its codes are written.
    """
    header = content.header
    if header.model_hash == NO_HASH:
        header = with_model(header, load(header.model))
    writer = EcdcWriter(file, plan(replace(header, source_samples=None)))
    for packet in complete(content):
        writer.write(packet.codes, packet.scale)
    writer.finish(content.source_samples)
    return []


def read_ecdc0(file: BinaryIO, load: LoadModel) -> Content:
    """Read a file of version 0; one that is LM-coded needs the language model."""
    begin = file.tell()
    header0 = Ecdc0Reader(file).header
    shape = shape_of(header0.model)
    header = make_content_header(
        header0.model,
        shape,
        streams=1,
        codebooks=header0.codebooks,
        source_rate=shape.sample_rate,
        source_channels=shape.channels,
        source_samples=header0.audio_length,
    )

    def again() -> Iterator[Packet]:
        file.seek(begin)
        reader = Ecdc0Reader(file)
        lm = load_lm(header0.model, load) if header0.use_lm else None
        return _packets0(reader, lm, header.packet_frames)

    notes: dict[str, object] = {"lm": header0.use_lm}
    return Content("ecdc0", header, again(), header0.audio_length, again, notes)


def write_ecdc0(content: Content, file: BinaryIO, load: LoadModel, *, lm: bool) -> list[str]:
    """Write version 0, byte for byte as the `encodec` package does.

    Returns:
        What the format has no place for.

    Raises:
        ArgumentError: The model is not one of the two that the format knows, or the source is
            not of its channels.
    """
    header = content.header
    if header.model not in MODELS:
        raise ArgumentError(f"model {header.model}: version 0 knows only {', '.join(MODELS)}")
    layout = MODELS[header.model]
    if header.streams != 1:
        raise ArgumentError(
            f"{header.source_channels} channels: version 0 with {header.model} has "
            f"{layout.channels}; compress with mono=True"
        )
    length = -(-content.source_samples * header.sample_rate // header.source_rate)
    header0 = Header0(header.model, length, len(header.codebook_sizes), lm)
    writer = Ecdc0Writer(file, header0)
    model = load_lm(header.model, load) if lm else None
    codes = _Rechunk(complete(content))
    for segment in header0.segments():
        scale = codes.scale()
        if layout.segment is not None:
            if scale is None:
                raise BadFileError(f"segment {segment.number} has no scale")
            writer.write_scale(float(scale[0]))
        if model is None:
            for block in codes.take(segment.frames):
                writer.write_codes(block)
            writer.end_codes()
        else:
            _code_with_lm(writer, model, codes.take(segment.frames), header0.codebooks)
    if not codes.at_end():
        raise BadFileError("the file has more frames than its length says")
    return _left_out(content)


def load_lm(name: str, load: LoadModel) -> EncodecLM:
    """Return the language model that belongs to an EnCodec model, on the CPU.

    There alone can its numbers be those of the machine that wrote the file.

    Raises:
        CheckpointError: It has not been pulled.
    """
    model = load(name.replace("encodec_", "encodec_lm_"))
    if not isinstance(model, EncodecLM):
        raise CheckpointError(f"{name}: {type(model).__name__} is no language model of EnCodec")
    return model.cpu()


def _packets0(reader: Ecdc0Reader, lm: EncodecLM | None, size: int) -> Iterator[Packet]:
    number = 0
    for segment in reader.header.segments():
        scale = reader.read_scale()
        scales = None if scale is None else np.array([scale], np.float32)
        blocks = (
            reader.read_codes(segment.frames)
            if lm is None
            else _decode_with_lm(reader, lm, segment.frames)
        )
        for codes in _regroup(blocks, size):
            yield Packet(number, number * size, codes[:, None, :], scales)
            number += 1
    if not reader.at_end():
        raise BadFileError("something follows the last segment")


def _regroup(blocks: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Cut blocks `[K, F]` anew into `size` frames each, fewer in the last."""
    frames = Regroup[np.ndarray](size, axis=1, join=np.concatenate)
    for block in blocks:
        yield from map(np.ascontiguousarray, frames.push(block))
    if (rest := frames.rest()) is not None:
        yield np.ascontiguousarray(rest)


class _Rechunk:
    """Packets as one run of frames of the only stream."""

    def __init__(self, packets: Iterator[Packet]) -> None:
        self._packets = packets
        self._next = next(packets, None)
        self._at = 0

    def scale(self) -> np.ndarray | None:
        return None if self._next is None else self._next.scale

    def take(self, frames: int) -> Iterator[np.ndarray]:
        while frames:
            if self._next is None:
                raise BadFileError("the file has fewer frames than its length says")
            part = self._next.codes[:, 0, self._at : self._at + frames]
            self._at += part.shape[1]
            frames -= part.shape[1]
            if self._at == self._next.frames:
                self._next, self._at = next(self._packets, None), 0
            yield part

    def at_end(self) -> bool:
        return self._next is None


def _code_with_lm(
    writer: Ecdc0Writer, lm: EncodecLM, blocks: Iterator[np.ndarray], codebooks: int
) -> None:
    coder = writer.encoder()
    state = lm.initial_state()
    previous = torch.zeros(codebooks, dtype=torch.long)
    for block in blocks:
        for frame in block.T.tolist():
            probabilities, state = lm.predict(previous, state)
            cdfs = quantize_cdf(probabilities)
            for code, cdf in zip(frame, cdfs, strict=True):
                coder.push(code, cdf)
            previous = torch.tensor(frame) + 1
    coder.flush()


def _decode_with_lm(reader: Ecdc0Reader, lm: EncodecLM, frames: int) -> Iterator[np.ndarray]:
    decoder = reader.decoder()
    state = lm.initial_state()
    previous = torch.zeros(reader.header.codebooks, dtype=torch.long)
    for _ in range(frames):
        probabilities, state = lm.predict(previous, state)
        frame = [decoder.pull(cdf) for cdf in quantize_cdf(probabilities)]
        yield np.array(frame, np.uint16)[:, None]
        previous = torch.tensor(frame) + 1


def _left_out(content: Content) -> list[str]:
    header = content.header
    said = {
        f"the source's rate, {header.source_rate} Hz": header.source_rate != header.sample_rate,
        f"the gain of {header.gain_db:g} dB": header.gain_db != 0,
        "the tags": bool(header.tags),
        "the name of the weights": header.model_hash != NO_HASH,
        f"the number of channels, {header.source_channels}": (
            header.source_channels != MODELS[header.model].channels
        ),
    }
    return [what for what, lost in said.items() if lost]
