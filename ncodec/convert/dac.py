"""`.dac` files of descript-audio-codec as `Content`, and back.

The format does not name the model, and it restores the source's loudness by measuring what has been
decoded; so both ways the loudness is measured here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from ncodec.checkpoints.registry import REGISTRY
from ncodec.convert.content import (
    Content,
    make_content_header,
    packets_of,
    shape_of,
    whole,
    with_model,
)
from ncodec.convert.ecdc import LoadModel
from ncodec.convert.loudness import Meter
from ncodec.errors import ArgumentError
from ncodec.models.dac import DacModel, window_samples
from ncodec_formats import Header, Packet
from ncodec_formats.dac import DacFile, read_dac, write_dac


def read_dac_content(file: BinaryIO, name: str | None, load: LoadModel) -> Content:
    """Read a `.dac` file.

    Args:
        file: At its start.
        name: The model, which the file does not name; guessed from the number of codebooks if None.
        load: Gives the model, which is needed for the loudness, and for windows.

    Raises:
        ArgumentError: The model can't be guessed.
        BadFileError: It is no `.dac` file, or is damaged.
    """
    dac = read_dac(file)
    channels, codebooks, frames = dac.codes.shape
    name = name or _guess(codebooks)
    header = make_content_header(
        name,
        shape_of(name),
        streams=channels,
        codebooks=codebooks,
        source_rate=dac.sample_rate,
        source_channels=dac.channels,
        source_samples=dac.original_length,
    )
    windowed = not dac.padding
    if windowed:
        samples = window_samples(load(name).config, dac.chunk_length)
        header = replace(
            header,
            packet_frames=dac.chunk_length,
            block_frames=dac.chunk_length,
            segment=(samples, samples),
        )
    codes = dac.codes.transpose(1, 0, 2)
    size = header.packet_frames
    sizes = [min(size, frames - at) for at in range(0, frames, size)]

    def again() -> Iterator[Packet]:
        return packets_of(codes, None, sizes)

    notes: dict[str, object] = {"input_db": list(dac.input_db), "windowed": windowed}
    return Content("dac", header, again(), dac.original_length, again, notes)


def write_dac_content(content: Content, file: BinaryIO, load: LoadModel) -> list[str]:
    """Write a `.dac` file of one window.

    Returns:
        What the format has no place for.

    Raises:
        ArgumentError: The model is no DAC.
    """
    header = content.header
    model = load(header.model)
    if not isinstance(model, DacModel):
        raise ArgumentError(f"model {header.model}: .dac files hold codes of DAC only")
    codes, _, sizes = whole(content)
    if not sizes:
        raise ArgumentError("nothing is coded: a .dac file cannot be empty")
    level = measured_level(content, model) + header.gain_db
    write_dac(
        file,
        DacFile(
            codes=np.ascontiguousarray(codes.transpose(1, 0, 2)),
            input_db=(float(level),),
            original_length=content.source_samples,
            sample_rate=header.source_rate,
            chunk_length=codes.shape[2],
            channels=header.source_channels,
            padding=True,
        ),
    )
    lost = {"the model's name": True, "the tags": bool(header.tags)}
    return [what for what, said in lost.items() if said]


def decodable(content: Content, model: Any) -> tuple[Header, Any]:
    """Return header and model with which a `.dac` file's packets decode at its own loudness."""
    if content.notes["windowed"]:
        model = model.windowed(content.header.packet_frames)
    header = with_model(content.header, model)
    levels = content.notes["input_db"]
    assert isinstance(levels, list)
    level = measured_level(replace(content, header=header), model)
    gain = float(np.mean(levels)) - level if np.isfinite(level) else 0.0
    return replace(header, gain_db=gain), model


def measured_level(content: Content, model: Any) -> float:
    """Decode the codes and return their loudness in LUFS, without the header's gain."""
    from ncodec.codec import StreamDecoder

    header = replace(with_model(content.header, model), gain_db=0.0)
    decoder = StreamDecoder(model, header, sample_rate=header.sample_rate)
    meter = Meter(header.sample_rate)
    for packet in content.again():
        meter.push(decoder.push(packet))
    meter.push(decoder.finish(content.source_samples))
    return meter.level()


def _guess(codebooks: int) -> str:
    for entry in REGISTRY.values():
        if entry.family == "dac" and entry.config.get("codebooks") == codebooks:
            return entry.name
    raise ArgumentError(
        f"a .dac file does not name its model, and {codebooks} codebooks fit none: give --model"
    )
