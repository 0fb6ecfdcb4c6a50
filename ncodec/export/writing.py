"""`export_graphs`: a codec's graphs in a folder, checked against the model before that is made."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError, OutputExistsError
from ncodec.export.codec import OnnxCodec
from ncodec.export.description import (
    DESCRIPTION,
    OPSET,
    VERSION,
    Description,
    Direction,
    StateTensor,
)
from ncodec.export.tracing import (
    BATCH,
    FRAMES,
    Phase,
    Traced,
    Way,
    decoder_of,
    encoder_of,
    phase_of,
    shape_in_graph,
    to_onnx,
    values_in_graph,
)
from ncodec.kernels import exporting, portable
from ncodec.models.base import CompressionModel
from ncodec.models.families import family_of
from ncodec.streaming import TiledSequential

Precision = Literal["float32", "float16"]
WEIGHTS = "weights.bin"
ODD = 3
"""Samples of a last frame, of which no layer's stride is a divisor down to the last."""


class Graph(NamedTuple):
    """What becomes a file.

    Attributes:
        name: Its stem.
        module: What is traced.
        inputs: Names and examples.
        outputs: Names.
        axes: Names of the axes that may vary, of inputs and outputs.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    axes: Mapping[str, Mapping[int, str]]


def export_graphs(
    model: CompressionModel,
    folder: str | os.PathLike[str],
    *,
    dtype: Precision = "float32",
    licence: str = "unknown",
    force: bool = False,
) -> list[Path]:
    """Write a codec's graphs, their weights and `ncodec.json` into a folder.

    `encoder_step.onnx` takes audio and gives the codes of all codebooks, `dequantize.onnx` codes of
    any number of codebooks and gives latents, `decoder_step.onnx` latents and gives audio. Families
    whose streams begin or end otherwise have start, end and whole graphs too. Before the folder is
    made the graphs are run against the model.

    Args:
        model: A codec that streams, in float32 on the CPU.
        folder: Made if missing.
        dtype: "float16" stores weights in half the bytes; weights that it does not hold exactly
            are rounded, and the fingerprint is then that of the rounded ones.
        licence: Of the weights.
        force: Overwrite files that exist.

    Returns:
        The files written.

    Raises:
        ArgumentError: The model cannot be exported, a package is missing, or a graph does not give
            what the model gives.
        OutputExistsError: The folder has files already.
    """
    if dtype not in ("float32", "float16"):
        raise ArgumentError(f"dtype {dtype!r}: must be 'float32' or 'float16'")
    _check_packages()
    _check_model(model)
    target = Path(folder)
    check_free(target, force)
    model = _prepared(model, dtype)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as made:
        write_graphs(model, Path(made), dtype, licence)
        import_module("ncodec.export.checking").check_graphs(model, Path(made))
        return put_in_place(Path(made), target)


def _check_packages() -> None:
    for package in ("onnx", "onnxruntime"):
        try:
            import_module(package)
        except ImportError as error:
            raise ArgumentError(
                f"{package} is not installed: pip install 'ncodec[export]'"
            ) from error


def _check_model(model: CompressionModel) -> None:
    if isinstance(model, OnnxCodec):
        raise ArgumentError(f"{model.folder}: has been exported already")
    if model.segment is not None:
        raise ArgumentError(f"{model.name} codes segments: only models that stream are exported")
    if len(set(model.codebook_sizes)) > 1:
        raise ArgumentError(f"{model.name}: its codebooks are of several sizes; graphs have one")
    if model.precision != "float32" or model.device.type != "cpu":
        where = f"{model.precision} on {model.device}"
        raise ArgumentError(f"{model.name} in {where}: export it from float32 on the CPU")


def check_free(folder: Path, force: bool) -> None:
    """Raise `OutputExistsError` if a folder has files and may not be written over."""
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder}: is a file, not a folder")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise OutputExistsError(f"{folder}: has files already (force=True overwrites)")


def _prepared(model: CompressionModel, dtype: Precision) -> CompressionModel:
    """Copy a model, with its weights as they will be stored, for signals that are whole."""
    with torch.no_grad(), portable():  # tables of the transforms are then constants
        model.decode(model.encode(torch.zeros(1, model.channels, 3 * model.hop))[0])
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    for module in copied.modules():
        if isinstance(module, TiledSequential):
            module.join_tiles()
    if dtype == "float16":
        for tensor in copied.state_dict().values():
            if tensor.is_floating_point() and tensor.numel() > 1024:
                if not torch.isfinite(tensor.half()).all():
                    raise ArgumentError(f"{model.name}: float16 cannot hold its weights")
                tensor.copy_(tensor.half())
    return copied


def write_graphs(model: CompressionModel, folder: Path, dtype: Precision, licence: str) -> None:
    """Write graphs and description into an empty folder, unchecked."""
    ways = _ways(model)
    phases = [phase_of(way) for way in ways]
    directions = [_describe(model, way, at) for way, at in zip(ways, phases, strict=True)]
    traced = copy.deepcopy(model)  # which keeps nothing yet that was derived from its weights
    graphs = [_dequantize(traced)]
    for way, at, known in zip(_ways(traced), phases, directions, strict=True):
        graphs += _graphs_of(traced, way, at, known)
    _write_all(graphs, folder, dtype)
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    described = Description(
        version=VERSION,
        name=model.name,
        family=family_of(model).name,
        licence=licence,
        config=model.config.to_dict(),
        fingerprint=model.fingerprint.hex(),
        precision=dtype,
        opset=OPSET,
        **{name: getattr(model, name) for name in _ATTRIBUTES},
        flush_frames=model.postroll_frames if model.ends_with_steps else 0,
        encoder=directions[0],
        decoder=directions[1],
        files=files,
    )
    (folder / DESCRIPTION).write_text(described.to_json(), "utf-8")


def _ways(model: CompressionModel) -> tuple[Way, Way]:
    return encoder_of(model), decoder_of(model)


_ATTRIBUTES = (
    *("sample_rate", "channels", "hop", "codebook_sizes", "latent_dim", "bandwidths"),
    *("latency_samples", "receptive_field", "preroll_frames", "postroll_frames"),
    "fills_last_frame",
)


def _describe(model: CompressionModel, way: Way, at: Phase) -> Direction:
    """Find out what a stream holds back, by running one."""
    unit = 1 if way.name == "encoder" else model.hop
    frames = at.least + 3
    with torch.no_grad(), portable():
        y, _ = way.step(way.example(BATCH, frames, 0), way.begin(BATCH))
    states = tuple(StateTensor(leaf.name, shape_in_graph(leaf)) for leaf in at.leaves)
    held = frames * unit - y.shape[2]
    ends = not model.ends_with_steps and (held > 0 or way.name == "encoder")
    return Direction(at.least, model.frames_at_once, at.drop, held, ends, states)


def _dequantize(model: CompressionModel) -> Graph:
    quantizer: Any = model.quantizer
    codes = torch.zeros(BATCH, max(1, model.total_codebooks - 1), FRAMES, dtype=torch.int64)
    axes = {0: "batch", 1: "codebooks", 2: "frames"}
    return Graph(
        "dequantize",
        _Call(model, quantizer.look_up),
        {"codes": codes},
        ("latent",),
        {"codes": axes, "latent": {0: "batch", 2: "frames"}},
    )


class _Call(nn.Module):
    def __init__(self, model: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self._function = model, function

    def forward(self, x: Tensor) -> Tensor:
        with exporting():
            return self._function(x)


def _graphs_of(model: CompressionModel, way: Way, at: Phase, known: Direction) -> Iterator[Graph]:
    """Yield the graphs of a direction."""

    def end(x: Tensor, state: Any) -> tuple[Tensor, None]:
        return way.end(x, state), None

    def example(frames: int, samples: int = 0) -> Tensor:
        return way.example(BATCH, frames, samples)

    def graph(kind: str, run: Any, x: Tensor, *, begins: bool, carries: bool) -> Graph:
        module = Traced(model, run, way.begin if begins else None, at, carries)
        return _named(f"{way.name}_{kind}", module, at, x, takes=not begins, carries=carries)

    odd = (0, ODD) if way.name == "encoder" and not model.fills_last_frame else (1, 0)
    yield graph("step", way.step, example(FRAMES), begins=False, carries=True)
    if known.least:
        first = example(known.least + 2)
        yield graph("start", way.step, first, begins=True, carries=True)
        yield graph("whole", end, example(FRAMES - 1 + odd[0], odd[1]), begins=True, carries=False)
    if known.ends:
        yield graph("end", end, example(*odd), begins=False, carries=False)


def _named(name: str, module: Traced, at: Phase, x: Tensor, *, takes: bool, carries: bool) -> Graph:
    audio = {0: "batch", 2: "samples"}
    given, out = ("audio", "codes") if name.startswith("encoder") else ("latent", "audio")
    frames = {0: "batch", 2: "frames"}
    axes = {given: audio if given == "audio" else frames, out: audio if out == "audio" else frames}
    inputs = {given: x}
    outputs = [out]
    for leaf in at.leaves:
        varying = {i: "past" for i, n in enumerate(shape_in_graph(leaf)) if n is None and i}
        if takes:
            inputs[leaf.name] = values_in_graph(leaf)
            axes[leaf.name] = {0: "batch", **varying}
        if carries:
            outputs.append(f"{leaf.name}_out")
            axes[f"{leaf.name}_out"] = {0: "batch", **{i: f"{x}_out" for i, x in varying.items()}}
    return Graph(name, module, inputs, tuple(outputs), axes)


def _write_all(graphs: list[Graph], folder: Path, dtype: Precision) -> None:
    """Write graphs one by one; several of one direction share their weights in one file."""
    proto = import_module("ncodec.export.proto")
    onnx: Any = import_module("onnx")
    shared = proto.SharedWeights(folder / WEIGHTS) if len(graphs) > 3 else None
    for graph in graphs:
        made = onnx.load_from_string(to_onnx(graph.module, graph.inputs, graph.outputs, graph.axes))
        _check_inputs(made, graph)
        proto.lift_constants(made)
        if dtype == "float16":
            proto.with_halves(made)
        if shared is not None:
            shared.take(made)
        (folder / f"{graph.name}.onnx").write_bytes(made.SerializeToString())


def _check_inputs(made: Any, graph: Graph) -> None:
    """Refuse a graph that has lost an input: what came from it is then the example's."""
    lost = graph.inputs.keys() - {value.name for value in made.graph.input}
    if lost:
        raise ArgumentError(f"{graph.name}: its trace lost {', '.join(sorted(lost))}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def put_in_place(made: Path, folder: Path) -> list[Path]:
    """Move finished files into a folder, the description last; what was there before goes.

    Of an earlier export, graphs that this one has not are removed too.
    """
    folder.mkdir(exist_ok=True)
    last = folder / DESCRIPTION
    last.unlink(missing_ok=True)
    names = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    names.sort(key=lambda name: name.name == DESCRIPTION)
    for old in folder.glob("*.onnx"):
        if Path(old.name) not in names:
            old.unlink()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made / name, folder / name)
    return [folder / name for name in names]
