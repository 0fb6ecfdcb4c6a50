"""`.dac` files of `descript-audio-codec` 1.0.0: a numpy file with a pickled dict of codes.

Files are read without unpickling (see `npy_pickle`), and written with the opcodes that numpy
itself uses, under the module names that numpy 1 and 2 both know.
"""

import io
import pickle
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import limits
from ..errors import ArgumentError, BadFileError, LimitError, UnsupportedVersionError
from ..wire import DAC_MAGIC
from .npy_pickle import read_pickle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = "1.0.0"
MAX_FILE = 1 << 30
"""Bytes: the format is one block, so a file is held in memory as a whole."""
_START = 2048
"""Bytes that hold numpy's header."""
_HEADER = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"


@dataclass(frozen=True)
class DacFile:
    """What a `.dac` file holds.

    `codes` is uint16 `[C, K, F]`, channels x codebooks x frames, chunks joined along the frames.
    `original_length` is in samples at `sample_rate`, the source's; `chunk_length` is in frames.
    The model is not named: it must be known from elsewhere.

    Raises:
        ArgumentError: a value is impossible, or the shapes do not agree.
    """

    codes: "NDArray[np.uint16]"
    input_db: tuple[float, ...]
    original_length: int
    sample_rate: int
    chunk_length: int
    channels: int
    padding: bool
    dac_version: str = VERSION

    def __post_init__(self) -> None:
        shape = self.codes.shape
        if str(self.codes.dtype) != "uint16" or len(shape) != 3 or min(shape) < 1:
            raise ArgumentError(f"codes are {self.codes.dtype} {list(shape)}, not uint16 [C, K, F]")
        ranges = {
            "original_length": limits.MAX_COUNT,
            "sample_rate": limits.MAX_RATE,
            "chunk_length": limits.MAX_COUNT,
            "channels": limits.MAX_CHANNELS,
        }
        for name, most in ranges.items():
            value: Any = getattr(self, name)
            least = 0 if name == "original_length" else 1
            if type(value) is not int or not least <= value <= most:
                raise ArgumentError(f"{name} is {str(value)[:40]}; it must be {least} to {most}")
        if type(self.padding) is not bool:
            raise ArgumentError("padding must be true or false")
        if shape[0] % self.channels or shape[1] > limits.MAX_CODEBOOKS:
            raise ArgumentError(f"codes of shape {list(shape)} for {self.channels} channels")
        if not all(abs(level) < float("inf") for level in self.input_db):
            raise ArgumentError(f"input_db is {self.input_db}")


def read_dac(file: BinaryIO) -> DacFile:
    """Reads a `.dac` file; nothing in it is run.

    Raises:
        BadFileError: it is no `.dac` file, is damaged, or holds anything but arrays and numbers.
        UnsupportedVersionError: a version of the format that is not 1.0.0.
        LimitError: it is larger than 1 GiB.
    """
    head = file.read(_START)
    end = _header_end(head)
    if head[end : end + 1] != pickle.PROTO:
        raise BadFileError("not a .dac file: no pickle follows its header")
    data = head[end:] + file.read(MAX_FILE + 1 - len(head))
    if len(data) > MAX_FILE - end:
        raise LimitError(f"a .dac file of more than {MAX_FILE} bytes")
    value = read_pickle(data)
    metadata: Any = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict) or "codes" not in value:
        raise BadFileError("not a .dac file: it has no codes and metadata")
    version = metadata.get("dac_version")
    if version != VERSION:
        raise UnsupportedVersionError(f".dac version {str(version)[:20]!r}; known is {VERSION}")
    return _from_values(value["codes"], metadata)


def _from_values(codes: Any, metadata: dict[str, Any]) -> DacFile:
    import numpy as np

    fields = ("original_length", "sample_rate", "chunk_length", "channels", "padding")
    try:
        level = np.asarray(metadata["input_db"], np.float64).reshape(-1)
        if level.size > limits.MAX_CHANNELS:
            raise BadFileError(f"the .dac file has {level.size} loudness values")
        if not isinstance(codes, np.ndarray) or codes.dtype.kind not in "iu":
            raise BadFileError("the codes of the .dac file are no array of integers")
        if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) <= 0xFFFF:
            raise BadFileError("a code of the .dac file lies outside 0 to 65535")
        values = {name: metadata[name] for name in fields}
        return DacFile(codes.astype(np.uint16), tuple(level.tolist()), **values)
    except KeyError as error:
        raise BadFileError(f"the .dac file lacks {error}") from error
    except (ArgumentError, TypeError, ValueError) as error:
        raise BadFileError(f"the .dac file is wrong: {error}") from error


def _header_end(data: bytes) -> int:
    """Returns where the pickle begins, after numpy's header."""
    if not data.startswith(DAC_MAGIC) or len(data) < 12:
        raise BadFileError("not a .dac file: it does not begin as numpy's files do")
    wide = data[6] >= 2
    begin = 12 if wide else 10
    end = begin + int.from_bytes(data[8:begin], "little")
    if data[6] not in (1, 2, 3) or end - begin > 1024 or end > len(data):
        raise BadFileError("the header of the .dac file is damaged")
    text = data[begin:end]
    if b"'descr': '|O'" not in text or b"'shape': ()" not in text:
        raise BadFileError("not a .dac file: it holds an array of another kind")
    return end


def write_dac(file: BinaryIO, dac: DacFile) -> None:
    """Writes a `.dac` file that `descript-audio-codec` opens; the same bytes on every machine."""
    import numpy as np

    padded = _HEADER + b" " * (-(len(_HEADER) + 11) % 64) + b"\n"
    file.write(DAC_MAGIC + b"\x01\x00" + struct.pack("<H", len(padded)) + padded)
    metadata = {
        "input_db": np.asarray(dac.input_db, "<f4"),
        "original_length": dac.original_length,
        "sample_rate": dac.sample_rate,
        "chunk_length": dac.chunk_length,
        "channels": dac.channels,
        "padding": dac.padding,
        "dac_version": dac.dac_version,
    }
    value = {"codes": np.ascontiguousarray(dac.codes, "<u2"), "metadata": metadata}
    out = io.BytesIO()
    out.write(pickle.PROTO + b"\x03")
    _put_array_of(out, (), "O8", "|")
    _put(out, [value])
    out.write(pickle.TUPLE + pickle.BUILD + pickle.STOP)
    file.write(out.getvalue())


def _put_array_of(out: io.BytesIO, shape: tuple[int, ...], code: str, order: str) -> None:
    """Opens an array's state; its data, TUPLE and BUILD are to follow."""
    out.write(b"cnumpy.core.multiarray\n_reconstruct\n")
    out.write(b"cnumpy\nndarray\n" + pickle.MARK)
    _put(out, 0)
    out.write(pickle.TUPLE)
    _put(out, b"b")
    out.write(pickle.TUPLE3 + pickle.REDUCE + pickle.MARK)
    _put(out, 1)
    out.write(pickle.MARK)
    for size in shape:
        _put(out, size)
    out.write(pickle.TUPLE + b"cnumpy\ndtype\n")
    for value in (code, False, True):
        _put(out, value)
    out.write(pickle.TUPLE3 + pickle.REDUCE + pickle.MARK)
    flags = 63 if code == "O8" else 0
    for value in (3, order, None, None, None, -1, -1, flags):
        _put(out, value)
    out.write(pickle.TUPLE + pickle.BUILD)
    _put(out, False)


def _put(out: io.BytesIO, value: Any) -> None:
    """Writes a value as pickle opcodes of protocol 3."""
    if value is None or isinstance(value, bool):
        out.write({None: pickle.NONE, True: pickle.NEWTRUE, False: pickle.NEWFALSE}[value])
    elif isinstance(value, int):
        raw = value.to_bytes(9, "little", signed=True)
        out.write(pickle.LONG1 + bytes([len(raw)]) + raw)
    elif isinstance(value, str):
        raw = value.encode()
        out.write(pickle.BINUNICODE + struct.pack("<I", len(raw)) + raw)
    elif isinstance(value, bytes):
        out.write(pickle.BINBYTES + struct.pack("<I", len(value)) + value)
    elif isinstance(value, list):
        out.write(pickle.EMPTY_LIST + pickle.MARK)
        for item in value:
            _put(out, item)
        out.write(pickle.APPENDS)
    elif isinstance(value, dict):
        out.write(pickle.EMPTY_DICT + pickle.MARK)
        for key, item in value.items():
            _put(out, key)
            _put(out, item)
        out.write(pickle.SETITEMS)
    else:
        _put_array_of(out, value.shape, value.dtype.str[1:], value.dtype.str[0])
        _put(out, value.tobytes())
        out.write(pickle.TUPLE + pickle.BUILD)
