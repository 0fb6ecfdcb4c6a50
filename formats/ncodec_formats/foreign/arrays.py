"""`.npz` and `.safetensors` files of codes, as `ncodec convert` writes them: what they hold.

Only headers and the description are read, never the codes.
"""

import json
import zipfile
from typing import Any, BinaryIO

from .. import limits
from ..errors import BadFileError

DESCRIPTION = "ncodec"
"""Name of the array, or key of the metadata, that holds a JSON text about the codes."""


def describe_arrays(src: BinaryIO, kind: str) -> dict[str, Any]:
    """Returns what a file says of its codes, as plain values fit for JSON.

    Args:
        src: seekable, at its beginning.
        kind: "npz" or "safetensors".

    Raises:
        BadFileError: it is no such file, or has no codes.
    """
    try:
        shape, text = _npz(src) if kind == "npz" else _safetensors(src)
        values: Any = None if text is None else json.loads(text)
        streams, codebooks, frames = shape if len(shape) == 3 else (1, *shape)
        found = {"streams": streams, "codebooks": codebooks, "frames": frames, "seconds": None}
        if values is None:
            return found
        samples, rate = values["source_samples"], values["source_rate"]
        keys = ("model", "model_hash", "sample_rate", "hop", "codebook_sizes", "source_channels")
        return {
            **found,
            **{key: values[key] for key in keys},
            "source_rate": rate,
            "samples": samples,
            "seconds": samples / rate,
            "gain_db": values.get("gain_db", 0.0),
            "tags": values.get("tags", []),
        }
    except (
        zipfile.BadZipFile,
        ArithmeticError,
        AttributeError,
        EOFError,
        KeyError,
        NotImplementedError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise BadFileError(f"no codes in this .{kind} file ({error})") from error


def _npz(src: BinaryIO) -> tuple[tuple[int, ...], str | None]:
    from numpy.lib import format as npy

    text = None
    with zipfile.ZipFile(src) as archive:
        with archive.open("codes.npy") as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape = read(file)[0]
        name = f"{DESCRIPTION}.npy"
        if name in archive.namelist():
            if archive.getinfo(name).file_size > limits.MAX_HEADER:
                raise ValueError("its description is too long")
            with archive.open(name) as file:
                text = str(npy.read_array(file, allow_pickle=False))
    return shape, text


def _safetensors(src: BinaryIO) -> tuple[tuple[int, ...], str | None]:
    size = int.from_bytes(src.read(8), "little")
    if size > limits.MAX_HEADER:
        raise ValueError(f"its header claims {size} bytes")
    head = json.loads(src.read(size))
    if "codes" not in head:
        raise ValueError("its tensors may be a model's, of which `ncodec models show` tells more")
    return tuple(head["codes"]["shape"]), head.get("__metadata__", {}).get(DESCRIPTION)
