"""ncodec: a streaming neural audio codec, its files, and models of the field behind one interface.

Files as arrays, with the feel of soundfile (times are in seconds):

    audio, rate = ncodec.read("talk.ecdc", start=1.5, end=3)    # float32 [T], or [T, C]
    ncodec.write("talk.ecdc", audio, rate, bandwidth=6)         # kbps of the whole file
    with ncodec.open("talk.ecdc") as coded: ...                 # rate, channels, tags, seek, blocks
    ncodec.info("talk.ecdc").seconds

Arrays as codes, and back:

    codes, header = ncodec.tokenize(audio, rate, codebooks=8)   # uint16 [K, F]
    audio, rate = ncodec.detokenize(codes, header)

Whole files:

    ncodec.compress("in.wav", "out.ecdc", bandwidth=6)
    ncodec.decompress("out.ecdc", "back.wav")
    ncodec.convert("old.ecdc", "codes.npz")                     # the same codes, another kind
    peel, cut, cat, repair, verify, tags, set_tags              # without a model: bytes are copied

Streams, packet by packet:

    model = ncodec.load_model()                                 # see list_models()
    encoder = ncodec.StreamEncoder(model, sample_rate=48000, channels=2, bandwidth=12)
    decoder = ncodec.StreamDecoder(model, encoder.header)

Every error is an `NcodecError`, but what the system refuses, which is Python's `OSError`. Nothing
here is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncodec.api.models import list_models, load_model
    from ncodec.api.operations import (
        FileInfo,
        cat,
        cut,
        info,
        peel,
        repair,
        set_tags,
        tags,
        verify,
    )
    from ncodec.api.sound import CodedFile, open, read, write  # noqa: A004
    from ncodec.api.tokens import detokenize, tokenize
    from ncodec.codec import (
        FileDecoder,
        StreamDecoder,
        StreamEncoder,
        compress,
        convert,
        decompress,
    )
    from ncodec.errors import (
        ArgumentError,
        BadFileError,
        CheckpointError,
        DamageError,
        DeviceError,
        LimitError,
        ModelMismatchError,
        NcodecError,
        OutputExistsError,
        UnsupportedVersionError,
    )
    from ncodec.models.base import CompressionModel
    from ncodec_formats import Header, Loss, Packet

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "BadFileError",
    "CheckpointError",
    "CodedFile",
    "CompressionModel",
    "DamageError",
    "DeviceError",
    "FileDecoder",
    "FileInfo",
    "Header",
    "LimitError",
    "Loss",
    "ModelMismatchError",
    "NcodecError",
    "OutputExistsError",
    "Packet",
    "StreamDecoder",
    "StreamEncoder",
    "UnsupportedVersionError",
    "__version__",
    "cat",
    "compress",
    "convert",
    "cut",
    "decompress",
    "detokenize",
    "info",
    "list_models",
    "load_model",
    "open",
    "peel",
    "read",
    "repair",
    "set_tags",
    "tags",
    "tokenize",
    "verify",
    "write",
]

_PLACES = {
    "ncodec.api.models": ("list_models", "load_model"),
    "ncodec.api.operations": (
        *("FileInfo", "cat", "cut", "info", "peel", "repair", "set_tags", "tags", "verify"),
    ),
    "ncodec.api.sound": ("CodedFile", "open", "read", "write"),
    "ncodec.api.tokens": ("detokenize", "tokenize"),
    "ncodec.codec": (
        *("FileDecoder", "StreamDecoder", "StreamEncoder", "compress", "convert", "decompress"),
    ),
    "ncodec.models.base": ("CompressionModel",),
    "ncodec_formats": ("Header", "Loss", "Packet"),
}
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562); what is no name of another module is an error."""
    module = _PLACE_OF.get(name, "ncodec.errors" if name.endswith("Error") else None)
    if module is None or name not in __all__:
        raise AttributeError(f"module 'ncodec' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    """Name what is there and what can be had; nothing is imported for it."""
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "annotations", "importlib"})
