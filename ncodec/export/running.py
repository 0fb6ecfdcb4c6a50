"""Exported graphs under onnxruntime: sessions, and streams that go through them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ncodec.errors import ArgumentError, CheckpointError
from ncodec.export.description import Description, Direction
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


class Through:
    """A direction of streams through its graphs: `[B, C, T]` to `[B, C', T']`.

    Args:
        graphs: All of them.
        way: "encoder" or "decoder".
        channels: C.
        unit: Steps of time that are a frame going in.
        nothing: What comes out of an input of no streams, which graphs do not take.
    """

    def __init__(
        self,
        graphs: Graphs,
        way: str,
        channels: int,
        unit: int,
        nothing: Callable[[Tensor], Tensor],
    ) -> None:
        self.way, self.graphs = way, graphs
        self.known: Direction = getattr(graphs.known, way)
        self._channels, self._unit, self._nothing = channels, unit, nothing

    def begin(self, batch: int) -> Running:
        """Return the state before the first frame."""
        tensors = None
        if not self.known.least:
            tensors = tuple(
                torch.zeros(batch, *(n or 0 for n in state.shape[1:]))
                for state in self.known.states
            )
        empty = torch.zeros(batch, self._channels, 0)
        return Running(empty, tensors, self.known.drop, begun=False)

    def step(self, x: Tensor, state: Running) -> tuple[Tensor | None, Running]:
        """Take what is next; return what comes out, None if nothing, and the state after it."""
        joined = join_time(state.waiting, x)
        frames = joined.shape[2] // self._unit
        rest = joined[..., frames * self._unit :].clone()
        if frames < max(1, self.known.least if state.tensors is None else 1):
            return None, state._replace(waiting=joined, begun=state.begun or joined.shape[2] > 0)
        y, tensors = self._run(joined[..., : frames * self._unit], state.tensors)
        drop = min(state.drop, y.shape[2])
        return y[..., drop:], Running(rest, tensors, state.drop - drop, begun=True)

    def finish(self, state: Running) -> Tensor | None:
        """Run the end graph, of streams that are shorter than a start the whole graph.

        Returns None if nothing ends the streams: none has begun, or nothing is left in them.
        """
        left = self.known.held + state.waiting.shape[2]
        if not state.begun or (state.tensors is not None and not (self.known.ends and left)):
            return None
        if not state.waiting.shape[0]:
            return self._nothing(state.waiting)
        kind = "whole" if state.tensors is None else "end"
        return self.graphs.run(f"{self.way}_{kind}", [state.waiting, *(state.tensors or ())])[0]

    def _run(
        self, x: Tensor, tensors: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the step graph, of a stream's first frames the start graph, in allowed pieces."""
        if not x.shape[0]:
            return self._nothing(x), tensors or ()
        most, out = self.known.most, list[Tensor]()
        for piece in x.split(most * self._unit, dim=2) if most else (x,):
            kind = "start" if tensors is None else "step"
            y, *after = self.graphs.run(f"{self.way}_{kind}", [piece, *(tensors or ())])
            out.append(y)
            tensors = tuple(after)
        assert tensors is not None
        return out[0] if len(out) == 1 else torch.cat(out, dim=2), tensors


class Graphs:
    """Sessions, each made when it is first run."""

    def __init__(self, folder: Path, known: Description) -> None:
        self._folder, self.known = folder, known
        self._session = lru_cache(maxsize=None)(self._open)
        self._checked = set[str]()
        try:
            import onnxruntime
        except ImportError as error:
            raise ArgumentError("onnxruntime is not installed: pip install onnxruntime") from error
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
        for each in (path, *(self._folder / x for x in self.known.files if x.endswith(".bin"))):
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
        if digest != self.known.files.get(path.name):
            raise CheckpointError(f"{path}: is not the file that was exported (SHA-256 differs)")
        self._checked.add(path.name)
