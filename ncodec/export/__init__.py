"""Codecs as ONNX graphs: writing them, and running them in a model's place.

`OnnxCodec` needs onnxruntime, `export_graphs` onnx too. Neither is
imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncodec.export.codec import OnnxCodec
    from ncodec.export.description import (
        DESCRIPTION,
        Description,
        Precision,
        is_export,
        read_description,
    )
    from ncodec.export.whole import export_whole
    from ncodec.export.writing import export_graphs

_PLACES = {
    "codec": ("OnnxCodec",),
    "description": ("DESCRIPTION", "Description", "Precision", "is_export", "read_description"),
    "whole": ("export_whole",),
    "writing": ("export_graphs",),
}

__all__ = [
    "DESCRIPTION",
    "Description",
    "OnnxCodec",
    "Precision",
    "export_graphs",
    "export_whole",
    "is_export",
    "read_description",
]


def __getattr__(name: str) -> Any:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
