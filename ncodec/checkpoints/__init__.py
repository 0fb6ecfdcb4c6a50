"""Weights: the known models, safe loading, download, import and export of other layouts."""

from ncodec.checkpoints.files import ModelInfo, load_model_file, save
from ncodec.checkpoints.registry import Entry, Source, known, load, lookup

__all__ = ["Entry", "ModelInfo", "Source", "known", "load", "load_model_file", "lookup", "save"]
