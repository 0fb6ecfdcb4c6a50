"""`.dac` files of descript-audio-codec as `Content`, and back.

The format does not name the model, and it restores the source's loudness by measuring what has been
decoded: whoever reads or writes one must decode it (`ncodec.codec.loudness`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from ncodec.checkpoints.registry import REGISTRY
from ncodec.containers.content import (
    Content,
    make_content_header,
    packets_of,
    shape_of,
    whole,
)
from ncodec.containers.ecdc import LoadModel
from ncodec.errors import ArgumentError
from ncodec.models.dac import DacModel, window_samples
from ncodec_formats import Packet
from ncodec_formats.foreign.dac import DacFile, read_dac, write_dac


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


def write_dac_content(
    content: Content, file: BinaryIO, level_of: Callable[[Content, Any], float], load: LoadModel
) -> list[str]:
    """Write a `.dac` file of one window.

    Args:
        content: Codes of DAC.
        file: Written to.
        level_of: Measures the loudness in LUFS of what `content` decodes to with a model.
        load: Gives the model.

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
    level = level_of(content, model) + header.gain_db
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


def windowed_as(content: Content, model: Any) -> Any:
    """Return the model that decodes a `.dac` file's packets: in windows if the file has them."""
    return model.windowed(content.header.packet_frames) if content.notes["windowed"] else model


def _guess(codebooks: int) -> str:
    for entry in REGISTRY.values():
        if entry.family == "dac" and entry.config.get("codebooks") == codebooks:
            return entry.name
    raise ArgumentError(
        f"a .dac file does not name its model, and {codebooks} codebooks fit none: give model=NAME"
    )
