"""A page that plays .ecdc files and records them: one HTML file, with the model in it.

The script is built from `browser/`; it is part of the package, so that making a page needs nothing
but Python.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import torch

from ncodec.checkpoints.loading import ModelLike, find_model
from ncodec.checkpoints.tables import tables_by_hash, tables_for
from ncodec.codec.layout import check_model
from ncodec.errors import ArgumentError, BadFileError, naming
from ncodec.export import OnnxCodec
from ncodec.models.base import CompressionModel
from ncodec.models.spectral import SpectralCodec
from ncodec_formats import Header, sniff

STEP = 8
"""The page's kernels take this many columns of a matrix at once."""


class PageFile(NamedTuple):
    """A file that the page shows: what it is called there, and all its bytes."""

    name: str
    data: bytes


def make_page(
    shown: Sequence[PageFile] = (), *, model: ModelLike = None, title: str = "ncodec player"
) -> str:
    """Return the page; nothing in it is loaded from elsewhere.

    Args:
        shown: .ecdc files that are open when the page opens, damaged ones too.
        model: that the page decodes and records with; that of the first file by default.
        title: of the page.

    Raises:
        BadFileError: something to be shown is no .ecdc file of version 1.
        ModelMismatchError: it was made with another model than the page has.
        ArgumentError: the model is of a family, or of sizes, that the page has no kernels for.
    """
    headers = {file: _header(file) for file in shown}
    first = next((header for header in headers.values() if header is not None), None)
    named = (first.model, first.model_hash) if first else (None, None)
    loaded = find_model(model, named[0], "cpu", fingerprint=named[1])
    config = _supported(loaded)
    for file, header in headers.items():
        if header is not None:
            with naming(file.name):
                check_model(loaded, header)
    about = {"name": loaded.name, "fingerprint": loaded.fingerprint.hex(), "config": config}
    page = files("ncodec.page")
    parts = {
        "title": escape(title),
        "model": escape(loaded.name),
        "style": (page / "style.css").read_text(encoding="utf-8"),
        "about": _in_script(json.dumps(about)),
        "files": "\n".join(map(_element, shown)),
        "tables": "\n".join(map(_tables_element, _tables(loaded, headers.values()))),
        "weights": _packed(_planes(_weights(loaded))),
        "script": (page / "page.js").read_text(encoding="utf-8"),
    }
    template = (page / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _packed(data: bytes) -> str:
    return _in_base85(gzip.compress(data, 9, mtime=0))


_DIGITS = np.arange(ord("#"), ord("w") + 1, dtype=np.uint8)
_DIGITS[ord("<") - ord("#")] = ord("x")  # nothing in the page can end the element it stands in


def _in_base85(data: bytes) -> str:
    """Return five letters for four bytes: a sixteenth less than base64, and as plain text.

    Of the last one to three bytes there are as many letters and one more.
    """
    missing = -len(data) % 4
    words = np.frombuffer(data + bytes(missing), ">u4").astype(np.uint32)
    digits = np.empty((len(words), 5), np.uint8)
    for place in range(4, -1, -1):
        words, digits[:, place] = np.divmod(words, 85)
    text = _DIGITS[digits].tobytes().decode("ascii")
    return text[: len(text) - missing]


def _planes(data: bytes) -> bytes:
    """Return all even bytes, then all odd ones.

    The halves of float16 values are best compressed apart: by a seventh, not a twelfth.
    """
    data += bytes(len(data) % 2)
    return data[::2] + data[1::2]


def _tables(model: CompressionModel, headers: Iterable[Header | None]) -> list[bytes]:
    """Return the tables that predict a model's codes, and those that files name."""
    wanted = {header.tables for header in headers if header is not None and header.tables}
    found = [tables_for(model.fingerprint), *(tables_by_hash(name) for name in sorted(wanted))]
    return list({tables.hash: tables.data for tables in found if tables is not None}.values())


def _tables_element(data: bytes) -> str:
    return f'<script type="text/plain" data-tables>{_packed(data)}</script>'


def _weights(model: CompressionModel) -> bytes:
    """Return a model's safetensors, in float16 where that holds each value exactly."""
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    for name, value in model.state_dict().items():
        half = value.half()
        exact = torch.equal(half.to(value.dtype), value)
        tensors[name] = (half if exact else value.float()).contiguous()
    return save(tensors)


def _supported(model: CompressionModel) -> dict[str, Any]:
    """Return the configuration of a model that the page's kernels can compute."""
    if isinstance(model, OnnxCodec):
        raise ArgumentError(
            f"{model.folder}: exported graphs; the page takes the model that they were made of"
        )
    if not isinstance(model, SpectralCodec):
        raise ArgumentError(
            f"model {model.name}: the page has kernels for the family of ncodec_24khz only"
        )
    config = model.config
    for name in ("encoder_width", "decoder_width", "latent", "cardinality"):
        if getattr(config, name) % STEP:
            raise ArgumentError(
                f"model {model.name}: {name} is {getattr(config, name)}; for the page it must be "
                f"a multiple of {STEP}"
            )
    return config.to_dict()


def _header(file: PageFile) -> Header | None:
    """Return the header of a file; None where it is damaged, which the page will tell."""
    with naming(file.name):
        if sniff(file.data[:9]) != "ecdc":
            raise BadFileError("not an .ecdc file of version 1: `ncodec convert` makes one of it")
        try:
            return Header.parse(file.data)
        except BadFileError:
            return None


def _in_script(text: str) -> str:
    """Keep text from ending the script element that it stands in."""
    return text.replace("<", "\\u003c")


def _element(file: PageFile) -> str:
    data = base64.b64encode(file.data).decode()
    return f'<script type="text/plain" data-file="{escape(file.name)}">{data}</script>'
