"""Codecs as ONNX graphs: writing them, and running them in a model's place.

`OnnxCodec` needs onnxruntime, `export_graphs` onnx too: `pip install 'ncodec[export]'`. Neither is
imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncodec.export.codec import OnnxCodec
    from ncodec.export.description import DESCRIPTION, Description, is_export, read_description
    from ncodec.export.writing import export_graphs

_PLACES = {
    "codec": ("OnnxCodec",),
    "description": ("DESCRIPTION", "Description", "is_export", "read_description"),
    "writing": ("export_graphs",),
}

__all__ = [
    "DESCRIPTION",
    "Description",
    "OnnxCodec",
    "export_graphs",
    "is_export",
    "read_description",
]


def __getattr__(name: str) -> Any:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
