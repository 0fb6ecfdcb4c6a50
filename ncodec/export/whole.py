"""Graphs of whole signals, as Transformers.js takes them: no states, audio to codes and back."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.export.checking import AUDIO, TIE, largest_gap
from ncodec.export.description import Precision
from ncodec.export.tracing import BATCH, FRAMES, decoder_of, encoder_of
from ncodec.export.writing import (
    CODEC,
    ODD,
    Graph,
    check_free,
    check_model,
    check_packages,
    prepared,
    put_in_place,
    write_all,
)
from ncodec.kernels import exporting
from ncodec.models.base import CompressionModel

SUFFIXES: Mapping[Precision, str] = {"float32": "", "float16": "_fp16"}
"""Of the graphs' names, by what weights are stored in (Transformers.js, src/utils/dtypes.js)."""


def export_whole(
    model: CompressionModel,
    folder: str | os.PathLike[str],
    beside: Mapping[str, Mapping[str, Any]],
    *,
    dtype: Precision = "float32",
    force: bool = False,
) -> list[Path]:
    """Write a codec as two graphs of whole signals, under the names that Transformers.js expects.

    `onnx/encoder_model.onnx` takes `input_values` `[batch, 1, samples]` and gives `audio_codes`
    `[batch, codebooks, frames]` int64; `onnx/decoder_model.onnx` takes those of any number of
    codebooks and gives `audio_values` `[batch, 1, samples]`. Before the folder is made they are run
    against the model.

    Args:
        model: A codec that streams, in float32 on the CPU.
        folder: Made if missing.
        beside: JSON files that describe the model to its reader, by their names.
        dtype: Of the weights; as in `export_graphs`.
        force: Overwrite files that exist.

    Raises:
        ArgumentError: The model cannot be exported, a package is missing, or a graph does not give
            what the model gives.
        OutputExistsError: The folder has files already.
    """
    if dtype not in SUFFIXES:
        raise ArgumentError(f"dtype {dtype!r}: must be 'float32' or 'float16'")
    check_model(model)
    check_packages()
    target = Path(folder)
    check_free(target, force)
    model = prepared(CODEC, model, dtype)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as name:
        made = Path(name)
        (made / "onnx").mkdir()
        graphs = _encoder(model, dtype), _decoder(model, dtype)
        write_all(graphs, made / "onnx", dtype)
        check_whole(model, *(made / "onnx" / f"{graph.name}.onnx" for graph in graphs))
        for file, values in beside.items():
            (made / file).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", "utf-8")
        return put_in_place(made, target)


class _Encoder(nn.Module):
    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        model = self.model
        with exporting():
            way = encoder_of(model)
            if model.fills_last_frame:
                missing = model.hop - 1 - (x.shape[2] - 1) % model.hop
                x = torch.cat([x, x.new_zeros(x.shape[0], x.shape[1], missing)], dim=2)
            return way.end(x, way.begin(x.shape[0]))


class _Decoder(nn.Module):
    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor) -> Tensor:
        quantizer: Any = self.model.quantizer
        with exporting():
            way = decoder_of(self.model)
            return way.end(quantizer.look_up(codes), way.begin(codes.shape[0]))


def _encoder(model: CompressionModel, dtype: Precision) -> Graph:
    audio = 0.1 * torch.randn(BATCH, model.channels, FRAMES * model.hop + ODD)
    return Graph(
        f"encoder_model{SUFFIXES[dtype]}",
        _Encoder(model),
        {"input_values": audio},
        ("audio_codes",),
        {
            "input_values": {0: "batch_size", 2: "num_samples"},
            "audio_codes": {0: "batch_size", 2: "codes_length"},
        },
    )


def _decoder(model: CompressionModel, dtype: Precision) -> Graph:
    codes = torch.zeros(BATCH, max(1, model.total_codebooks - 1), FRAMES, dtype=torch.int64)
    return Graph(
        f"decoder_model{SUFFIXES[dtype]}",
        _Decoder(model),
        {"audio_codes": codes},
        ("audio_values",),
        {
            "audio_codes": {0: "batch_size", 1: "num_quantizers", 2: "codes_length"},
            "audio_values": {0: "batch_size", 2: "num_samples"},
        },
    )


@torch.no_grad()
def check_whole(model: CompressionModel, encoder: Path, decoder: Path) -> None:
    """Run signals of several lengths and batches through graphs and model.

    Raises:
        ArgumentError: Something comes out otherwise.
    """
    runtime: Any = import_module("onnxruntime")
    sessions = [
        runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for path in (encoder, decoder)
    ]

    def run(session: Any, x: Tensor) -> Tensor:
        values: np.ndarray = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
        return torch.from_numpy(values)

    generator = torch.Generator().manual_seed(0)
    long = 2 * (model.frames_at_once or 10) + 3  # more than a step takes at once
    for batch, frames, more, count in ((1, 1, 0, 1), (2, 12, 1, 2), (1, long, model.hop // 2, 0)):
        shape = (batch, model.channels, frames * model.hop + more)
        audio = 0.1 * torch.randn(shape, generator=generator)
        meant, _ = model.encode(audio)
        found = run(sessions[0], audio)
        if found.shape != meant.shape or largest_gap(model, audio, meant, found) > TIE:
            raise ArgumentError(f"{encoder.name}: gives other codes than {model.name}")
        few = meant[:, : count or model.total_codebooks]
        sound, expected = run(sessions[1], few), model.decode(few)
        worst = (sound - expected).abs().max() if sound.shape == expected.shape else 1.0
        if not worst <= AUDIO * max(float(expected.abs().max()), 0.1):
            raise ArgumentError(f"{decoder.name}: gives other audio than {model.name}")
