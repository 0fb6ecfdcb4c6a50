"""ONNX models as they are written: weights as halves, or beside the graphs, once for all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

if TYPE_CHECKING:
    import onnx

SMALL = 1024
"""Values up to which a tensor stays as and where it is."""
PAGE = 4096
"""Bytes to which weights beside a graph are aligned, so that they can be mapped."""


def with_halves(model: onnx.ModelProto) -> None:
    """Store as float16 whatever it holds exactly; a Cast gives the graph its float32 back.

    All arithmetic stays float32. Converters that make the arithmetic float16 lose the codes.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts: list[Any] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or _count(tensor) <= SMALL:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.array_equal(halves.astype(np.float32), values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}.float16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def lift_constants(model: onnx.ModelProto) -> None:
    """Make initializers of large constants, which tracing leaves as nodes."""
    kept: list[Any] = []
    for node in model.graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None and _count(value) > SMALL:
            value.name = node.output[0]
            model.graph.initializer.append(value)
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _count(tensor: Any) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64)) if tensor.dims else 1


class SharedWeights:
    """A file of weights that several graphs refer to, each weight once.

    Args:
        path: Where it is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[bytes, tuple[int, int]] = {}
        self._size = 0

    def take(self, model: onnx.ModelProto) -> None:
        """Move a graph's weights into the file."""
        with self.path.open("ab") as file:
            for tensor in model.graph.initializer:
                if _count(tensor) > SMALL:
                    self._move(tensor, file)

    def _move(self, tensor: Any, file: BinaryIO) -> None:
        from onnx import TensorProto, numpy_helper

        content = numpy_helper.to_array(tensor).tobytes()
        digest = hashlib.sha256(content).digest()
        if digest not in self._places:
            gap = -self._size % PAGE
            file.write(bytes(gap) + content)
            self._places[digest] = self._size + gap, len(content)
            self._size += gap + len(content)
        offset, length = self._places[digest]
        tensor.ClearField("raw_data")
        del tensor.external_data[:]
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": self.path.name, "offset": offset, "length": length}
        for key, value in place.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
