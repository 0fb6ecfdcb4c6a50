"""`OnnxCodec`: exported graphs under onnxruntime, in the place of a model."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ncodec.errors import ArgumentError, CheckpointError, DeviceError
from ncodec.export.description import Description, Direction, read_description
from ncodec.models.base import CompressionModel
from ncodec.models.records import Latents, Streams
from ncodec.streaming import join_time


class Running(NamedTuple):
    """A direction of streams.

    Attributes:
        waiting: `[B, C, n]`: samples of no whole frame, or what the start graph still waits for.
        tensors: The graphs' states, None before the start graph.
        drop: How much of what comes out next lies before the streams.
        begun: Whether anything has come.
    """

    waiting: Tensor
    tensors: tuple[Tensor, ...] | None
    drop: int
    begun: bool


class OnnxCodec(CompressionModel):
    """A codec that was exported, run by onnxruntime on the CPU; its streams are those of the model.

    Codes are the model's but where two entries are as near as rounding, audio is the model's to
    rounding. The search for codes is greedy. Copies and pickles open the folder again.

    Args:
        folder: With `ncodec.json` and the graphs.

    Raises:
        ArgumentError: onnxruntime is not installed.
        CheckpointError: Something is missing or damaged.
    """

    config: Description
    config_type: ClassVar[Any] = Description

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__()
        self.folder = Path(folder)
        known = self.config = read_description(folder)
        self.name, self.sample_rate, self.channels = known.name, known.sample_rate, known.channels
        self.hop, self.codebook_sizes = known.hop, known.codebook_sizes
        self.total_codebooks, self.latent_dim = len(known.codebook_sizes), known.latent_dim
        self.bandwidths, self.receptive_field = known.bandwidths, known.receptive_field
        self.latency_samples, self.preroll_frames = known.latency_samples, known.preroll_frames
        self.postroll_frames = known.postroll_frames
        self._graphs = _Graphs(self.folder, known)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_opened, (self.folder, self._num_codebooks))

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxCodec:
        return _opened(self.folder, self._num_codebooks)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def fingerprint(self) -> bytes:
        """That of the model that was exported."""
        return bytes.fromhex(self.config.fingerprint)

    def _apply(self, fn: Any, recurse: bool = True) -> CompressionModel:
        if fn(torch.zeros(1)).device.type != "cpu":
            raise DeviceError(f"{self.name} is run by onnxruntime: on the CPU")
        return super()._apply(fn, recurse)

    def _wants_gradients(self, x: Tensor | None = None) -> bool:
        return False

    # Audio to codes

    def _encoder_state(self, batch: int, device: torch.device) -> Running:
        return self._begin(self.config.encoder, batch, self.channels)

    def _encode_step(self, audio: Tensor, state: Running) -> tuple[list[Latents], Running]:
        """Give codes, which `_quantize` cuts: the graphs have the search in them."""
        joined = join_time(state.waiting, audio)
        frames = joined.shape[2] // self.hop
        rest = joined[..., frames * self.hop :].clone()
        if frames < max(1, self.config.encoder.least if state.tensors is None else 1):
            return [], state._replace(waiting=joined, begun=state.begun or joined.shape[2] > 0)
        x = joined[..., : frames * self.hop]
        codes, tensors = self._run("encoder", x, state.tensors, self.hop)
        return _ready(codes[..., state.drop :]), Running(rest, tensors, 0, begun=True)

    def _encode_flush(self, state: Running, batch: int) -> list[Latents]:
        known, waiting = self.config.encoder, state.waiting
        missing = -waiting.shape[2] % self.hop
        if self.config.fills_last_frame and missing:
            waiting = join_time(waiting, waiting.new_zeros(batch, self.channels, missing))
        if not state.begun or (state.tensors is not None and not known.held + waiting.shape[2]):
            return []
        if not known.ends:
            return self._encode_step(waiting, state._replace(waiting=waiting[..., :0]))[0]
        return _ready(self._finish("encoder", waiting, state.tensors))

    def _quantize(self, latent: Tensor, streams: Streams) -> Tensor:
        return latent[:, : streams.codebooks]

    # Codes to audio

    def _decode_latent(self, codes: Tensor) -> Tensor:
        if not codes.numel():
            return torch.zeros(codes.shape[0], self.latent_dim, codes.shape[2])
        least, most = torch.aminmax(codes)
        if least < 0 or most >= min(self.codebook_sizes):
            raise IndexError  # as PyTorch's own look-up; the caller says more
        return self._graphs.run("dequantize", [codes])[0]

    def _decoder_state(self, batch: int, device: torch.device) -> Running:
        return self._begin(self.config.decoder, batch, self.latent_dim)

    def _decode_step(
        self, latent: Tensor, scale: Tensor | None, state: Running
    ) -> tuple[Tensor, Running]:
        joined = join_time(state.waiting, latent)
        frames = joined.shape[2]
        if frames < max(1, self.config.decoder.least if state.tensors is None else 1):
            none = joined.new_zeros(len(joined), self.channels, 0)
            return none, state._replace(waiting=joined, begun=state.begun or frames > 0)
        y, tensors = self._run("decoder", joined, state.tensors, 1)
        drop = min(state.drop, y.shape[2])
        return y[..., drop:], Running(joined[..., :0], tensors, state.drop - drop, begun=True)

    def _decode_flush(self, state: Running, batch: int) -> Tensor:
        known, waiting = self.config.decoder, state.waiting
        if state.begun and self.config.flush_frames:
            zeros = waiting.new_zeros(batch, self.latent_dim, self.config.flush_frames)
            return self._decode_step(zeros, None, state)[0]
        if not state.begun or (state.tensors is not None and not known.ends):
            return waiting.new_zeros(batch, self.channels, 0)
        return self._finish("decoder", waiting, state.tensors)

    # Graphs

    def _begin(self, known: Direction, batch: int, channels: int) -> Running:
        empty = torch.zeros(batch, channels, 0)
        tensors = None
        if not known.least:
            tensors = tuple(
                torch.zeros(batch, *(n or 0 for n in state.shape[1:])) for state in known.states
            )
        return Running(empty, tensors, known.drop, begun=False)

    def _run(
        self, way: str, x: Tensor, tensors: tuple[Tensor, ...] | None, unit: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the step graph, of a stream's first frames the start graph, in allowed pieces."""
        known: Direction = getattr(self.config, way)
        if not x.shape[0]:
            return self._nothing(way, x), tensors or ()
        out: list[Tensor] = []
        for piece in x.split(known.most * unit, dim=2) if known.most else (x,):
            kind = "start" if tensors is None else "step"
            y, *after = self._graphs.run(f"{way}_{kind}", [piece, *(tensors or ())])
            out.append(y)
            tensors = tuple(after)
        assert tensors is not None
        return out[0] if len(out) == 1 else torch.cat(out, dim=2), tensors

    def _finish(self, way: str, x: Tensor, tensors: tuple[Tensor, ...] | None) -> Tensor:
        """Run the end graph, of streams that are shorter than a start the whole graph."""
        if not x.shape[0]:
            return self._nothing(way, x)
        kind = "whole" if tensors is None else "end"
        return self._graphs.run(f"{way}_{kind}", [x, *(tensors or ())])[0]

    def _nothing(self, way: str, x: Tensor) -> Tensor:
        """Return the output of no streams."""
        if way == "encoder":
            frames = -(-x.shape[2] // self.hop)
            return torch.zeros(0, self.total_codebooks, frames, dtype=torch.int64)
        return x.new_zeros(0, self.channels, x.shape[2] * self.hop)


class _Graphs:
    """Sessions, each made when it is first run."""

    def __init__(self, folder: Path, known: Description) -> None:
        self._folder, self._known = folder, known
        self._session = lru_cache(maxsize=None)(self._open)
        self._checked = set[str]()
        try:
            import onnxruntime
        except ImportError as error:
            raise ArgumentError(
                "onnxruntime is not installed: pip install 'ncodec[export]'"
            ) from error
        self._runtime: Any = onnxruntime

    def run(self, name: str, inputs: list[Tensor]) -> list[Tensor]:
        """Run a graph on its inputs, in order."""
        session, names = self._session(name)
        given = zip(names, inputs, strict=True)
        feeds = {key: tensor.detach().contiguous().numpy() for key, tensor in given}
        try:
            found = session.run(None, feeds)
        except Exception as error:  # the runtime's errors have no common type
            reason = str(error).strip().splitlines()[0]
            raise CheckpointError(f"{name}: onnxruntime cannot run it so ({reason})") from error
        return [torch.from_numpy(y) for y in found]

    def _open(self, name: str) -> tuple[Any, list[str]]:
        path = self._folder / f"{name}.onnx"
        for each in (path, *(self._folder / x for x in self._known.files if x.endswith(".bin"))):
            self._check(each)
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = self._runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's errors have no common type
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: onnxruntime cannot run it ({reason})") from error
        return session, [value.name for value in session.get_inputs()]

    def _check(self, path: Path) -> None:
        """Compare a file with the digest of the description, once."""
        if path.name in self._checked:
            return
        try:
            with path.open("rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
        if digest != self._known.files.get(path.name):
            raise CheckpointError(f"{path}: is not the file that was exported (SHA-256 differs)")
        self._checked.add(path.name)


def _ready(codes: Tensor) -> list[Latents]:
    return [Latents(codes, None)] if codes.shape[2] else []


def _opened(folder: Path, codebooks: int | None) -> OnnxCodec:
    codec = OnnxCodec(folder)
    if codebooks is not None:
        codec.set_num_codebooks(codebooks)
    return codec.eval()
