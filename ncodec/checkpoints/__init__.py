"""Weights: the known models, safe loading, download, import and export of other layouts."""

from ncodec.checkpoints.cache import cache_folder, stored_names
from ncodec.checkpoints.exports import export_model, layouts_of
from ncodec.checkpoints.files import ModelInfo, load_model_file, read_model_info, save
from ncodec.checkpoints.imports import Imported, import_model, inspect
from ncodec.checkpoints.loading import find, load, load_any
from ncodec.checkpoints.pull import pull
from ncodec.checkpoints.registry import DEFAULT_MODEL, Entry, Source, known, lookup

__all__ = [
    "DEFAULT_MODEL",
    "Entry",
    "Imported",
    "ModelInfo",
    "Source",
    "cache_folder",
    "export_model",
    "find",
    "import_model",
    "inspect",
    "known",
    "layouts_of",
    "load",
    "load_any",
    "load_model_file",
    "lookup",
    "pull",
    "read_model_info",
    "save",
    "stored_names",
]
