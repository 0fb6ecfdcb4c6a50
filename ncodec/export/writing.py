"""`export_graphs`: a codec's graphs in a folder, checked against the model before that is made."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

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
    Precision,
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
from ncodec.models.fingerprint import fingerprint_of
from ncodec.streaming import TiledSequential

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


class Plan(NamedTuple):
    """How a kind of model is exported.

    Attributes:
        kind: Of model.
        ways: Its directions, the decoder last.
        others: Graphs beside those of the directions.
        about: What `Description` has of it.
        run: Computes all that it can; tables of transforms are then there, as constants.
        check: Compares a folder with it.
    """

    kind: str
    ways: Callable[[Any], tuple[Way, ...]]
    others: Callable[[Any], list[Graph]]
    about: Callable[[Any], Mapping[str, Any]]
    run: Callable[[Any], object]
    check: Callable[[Any, Path], None]


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
    check_model(model)
    return export_as(CODEC, model, folder, dtype=dtype, licence=licence, force=force)


def export_as(
    plan: Plan,
    model: Any,
    folder: str | os.PathLike[str],
    *,
    dtype: Precision,
    licence: str,
    force: bool,
) -> list[Path]:
    """Write the graphs of any kind of model; otherwise as `export_graphs`."""
    if dtype not in ("float32", "float16"):
        raise ArgumentError(f"dtype {dtype!r}: must be 'float32' or 'float16'")
    check_packages()
    target = Path(folder)
    check_free(target, force)
    model = prepared(plan, model, dtype)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as made:
        write_graphs(plan, model, Path(made), dtype, licence)
        plan.check(model, Path(made))
        return put_in_place(Path(made), target)


def check_packages() -> None:
    """Raise `ArgumentError` if what writes or runs graphs is not installed."""
    for package in ("onnx", "onnxruntime"):
        try:
            import_module(package)
        except ImportError as error:
            raise ArgumentError(
                f"{package} is not installed: pip install onnx onnxruntime"
            ) from error


def check_model(model: CompressionModel) -> None:
    """Raise `ArgumentError` if no graphs can be made of a model."""
    kind = family_of(model).kind if not isinstance(model, OnnxCodec) else "codec"
    if kind != "codec":
        raise ArgumentError(f"{model.name}: a {kind}; codecs and vocoders are exported")
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


def prepared(plan: Plan, model: Any, dtype: Precision) -> Any:
    """Copy a model, with its weights as they will be stored, for signals that are whole."""
    with torch.no_grad(), portable():
        plan.run(model)
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


def write_graphs(plan: Plan, model: Any, folder: Path, dtype: Precision, licence: str) -> None:
    """Write graphs and description into an empty folder, unchecked."""
    ways = plan.ways(model)
    phases = [phase_of(way) for way in ways]
    directions = {way.name: _describe(way, phase) for way, phase in zip(ways, phases, strict=True)}
    traced = copy.deepcopy(model)  # which keeps nothing yet that was derived from its weights
    graphs = plan.others(traced)
    for way, phase in zip(plan.ways(traced), phases, strict=True):
        graphs += _graphs_of(traced, way, phase, directions[way.name])
    write_all(graphs, folder, dtype)
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    described = Description(
        version=VERSION,
        kind=plan.kind,
        name=model.name,
        family=family_of(model).name,
        licence=licence,
        config=model.config.to_dict(),
        fingerprint=fingerprint_of(model.config, model.state_dict()).hex(),
        precision=dtype,
        opset=OPSET,
        **plan.about(model),
        encoder=directions.get("encoder"),
        decoder=directions["decoder"],
        files=files,
    )
    (folder / DESCRIPTION).write_text(described.to_json(), "utf-8")


def _describe(way: Way, at: Phase) -> Direction:
    """Find out what a stream holds back, by running one."""
    frames = at.least + 3
    with torch.no_grad(), portable():
        y, _ = way.step(way.example(BATCH, frames, 0), way.begin(BATCH))
    states = tuple(StateTensor(leaf.name, shape_in_graph(leaf)) for leaf in at.leaves)
    held = frames * way.unit - y.shape[2]
    ends = not way.steps_end and (held > 0 or way.name == "encoder")
    return Direction(at.least, way.at_once, at.drop, held, ends, states)


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


def _graphs_of(model: nn.Module, way: Way, at: Phase, known: Direction) -> Iterator[Graph]:
    """Yield the graphs of a direction."""

    def end(x: Tensor, state: Any) -> tuple[Tensor, None]:
        return way.end(x, state), None

    def example(frames: int, samples: int = 0) -> Tensor:
        return way.example(BATCH, frames, samples)

    def graph(kind: str, run: Any, x: Tensor, *, begins: bool, carries: bool) -> Graph:
        module = Traced(model, run, way.begin if begins else None, at, carries)
        return _named(way, kind, module, at, x, takes=not begins, carries=carries)

    odd = (0, ODD) if way.odd else (1, 0)
    yield graph("step", way.step, example(FRAMES), begins=False, carries=True)
    if known.least:
        first = example(known.least + 2)
        yield graph("start", way.step, first, begins=True, carries=True)
        yield graph("whole", end, example(FRAMES - 1 + odd[0], odd[1]), begins=True, carries=False)
    if known.ends:
        yield graph("end", end, example(*odd), begins=False, carries=False)


def _named(
    way: Way, kind: str, module: Traced, at: Phase, x: Tensor, *, takes: bool, carries: bool
) -> Graph:
    axes: dict[str, Mapping[int, str]] = {
        name: {0: "batch", 2: "samples" if name == "audio" else "frames"}
        for name in (way.given, way.out)
    }
    inputs = {way.given: x}
    outputs = [way.out]
    for leaf in at.leaves:
        varying = {i: "past" for i, n in enumerate(shape_in_graph(leaf)) if n is None and i}
        if takes:
            inputs[leaf.name] = values_in_graph(leaf)
            axes[leaf.name] = {0: "batch", **varying}
        if carries:
            outputs.append(f"{leaf.name}_out")
            axes[f"{leaf.name}_out"] = {0: "batch", **{i: f"{x}_out" for i, x in varying.items()}}
    return Graph(f"{way.name}_{kind}", module, inputs, tuple(outputs), axes)


def write_all(graphs: Sequence[Graph], folder: Path, dtype: Precision) -> None:
    """Write graphs one by one; several of one direction share their weights in one file."""
    proto: Any = import_module("ncodec.export.proto")
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


def _about_codec(model: CompressionModel) -> dict[str, Any]:
    names = (
        *("sample_rate", "channels", "hop", "codebook_sizes", "latent_dim", "bandwidths"),
        *("latency_samples", "receptive_field", "preroll_frames", "postroll_frames"),
        "fills_last_frame",
    )
    flush = model.postroll_frames if model.ends_with_steps else 0
    return {name: getattr(model, name) for name in names} | {"flush_frames": flush}


def _run_codec(model: CompressionModel) -> Tensor:
    return model.decode(model.encode(torch.zeros(1, model.channels, 3 * model.hop))[0])


def _check_codec(model: CompressionModel, folder: Path) -> None:
    import_module("ncodec.export.checking").check_graphs(model, folder)


CODEC = Plan(
    "codec",
    lambda model: (encoder_of(model), decoder_of(model)),
    lambda model: [_dequantize(model)],
    _about_codec,
    _run_codec,
    _check_codec,
)
