"""Weights: the known models, safe loading, download, import and export of other layouts.

What a name costs is imported with it: listing models needs no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncodec.checkpoints.cache import (
        cache_folder,
        find,
        lookup,
        model_path,
        remove,
        stored_names,
    )
    from ncodec.checkpoints.exports import export_model, export_whole_graphs, layouts_of
    from ncodec.checkpoints.imports import Imported, import_model, inspect
    from ncodec.checkpoints.loading import load, load_any
    from ncodec.checkpoints.model_file import load_model_file, save
    from ncodec.checkpoints.model_info import ModelInfo, read_model_info
    from ncodec.checkpoints.pulling import pull
    from ncodec.checkpoints.registry import DEFAULT_MODEL, Entry, Source, canonical, known
    from ncodec.checkpoints.tables import (
        TablesInfo,
        keep_tables,
        read_tables,
        read_tables_info,
        tables_files,
        tables_for,
        write_tables,
    )

_PLACES = {
    "cache": ("cache_folder", "find", "lookup", "model_path", "remove", "stored_names"),
    "exports": ("export_model", "export_whole_graphs", "layouts_of"),
    "model_file": ("load_model_file", "save"),
    "imports": ("Imported", "import_model", "inspect"),
    "loading": ("load", "load_any"),
    "model_info": ("ModelInfo", "read_model_info"),
    "pulling": ("pull",),
    "registry": ("DEFAULT_MODEL", "Entry", "Source", "canonical", "known"),
    "tables": (
        "TablesInfo",
        "keep_tables",
        "read_tables",
        "read_tables_info",
        "tables_files",
        "tables_for",
        "write_tables",
    ),
}

__all__ = [
    "DEFAULT_MODEL",
    "Entry",
    "Imported",
    "ModelInfo",
    "Source",
    "TablesInfo",
    "cache_folder",
    "canonical",
    "export_model",
    "export_whole_graphs",
    "find",
    "import_model",
    "inspect",
    "keep_tables",
    "known",
    "layouts_of",
    "load",
    "load_any",
    "load_model_file",
    "lookup",
    "model_path",
    "pull",
    "read_model_info",
    "read_tables",
    "read_tables_info",
    "remove",
    "save",
    "stored_names",
    "tables_files",
    "tables_for",
    "write_tables",
]


def __getattr__(name: str) -> Any:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
