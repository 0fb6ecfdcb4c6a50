"""Opening any file of codes, and `convert`."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ncodec.convert.arrays import read_npz, read_safetensors, write_arrays
from ncodec.convert.content import NO_HASH, Content, ForeignReader, with_model
from ncodec.convert.dac import decodable, read_dac_content, write_dac_content
from ncodec.convert.ecdc import LoadModel, read_ecdc0, read_ecdc1, write_ecdc0, write_ecdc1
from ncodec.errors import ArgumentError, BadFileError
from ncodec.files import atomic_output
from ncodec.models.base import CompressionModel
from ncodec_formats import EcdcReader
from ncodec_formats import open_links as open_ecdc_links
from ncodec_formats.dac import read_dac
from ncodec_formats.limits import DEFAULT_MAX_SECONDS

if TYPE_CHECKING:
    from ncodec.codec import Compressed

KINDS = {"ecdc": ".ecdc", "encodec": ".ecdc", "dac": ".dac", "npz": ".npz", "safetensors": ""}
"""What `convert` writes: "encodec" is `.ecdc` version 0."""
_MAGIC = {b"ECDC\x01": "ecdc1", b"ECDC\x00": "ecdc0", b"\x93NUMPY": "dac", b"PK\x03\x04": "npz"}
_HEAD = 9


@dataclass(frozen=True)
class Converted:
    """What `convert` did.

    Attributes:
        source: Kind of the source: "ecdc1", "ecdc0", "dac", "npz" or "safetensors".
        target: Kind written, a key of `KINDS`.
        model: Name of the model.
        lost: What the target has no place for, in words.
        lm: Whether the source was LM-coded.
    """

    source: str
    target: str
    model: str
    lost: tuple[str, ...]
    lm: bool


def sniff(head: bytes) -> str | None:
    """Tell a file of codes by its first 9 bytes: a kind, or None."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return "safetensors" if head[8:9] == b"{" else None


def kind_of_name(path: str | os.PathLike[str]) -> str:
    """Return the kind that a file's name asks for.

    Raises:
        ArgumentError: It asks for none.
    """
    ending = Path(path).suffix.lower()
    kinds = {".ecdc": "ecdc", ".dac": "dac", ".npz": "npz", ".safetensors": "safetensors"}
    if ending not in kinds:
        raise ArgumentError(f"{path}: its name must end in {', '.join(kinds)}, or give --to")
    return kinds[ending]


def convert(
    source: str | os.PathLike[str] | BinaryIO,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    to: str | None = None,
    model: str | None = None,
    lm: bool = False,
    force: bool = False,
    load: LoadModel | None = None,
) -> Converted:
    """Write the codes of one file as another kind of file; no code changes.

    Args:
        source: Path or seekable file.
        target: Path, which is then whole or absent, or a file.
        to: A key of `KINDS`; by the target's name if None.
        model: Name of the model, where the source does not say it.
        lm: Code version 0 with the language model; it then decodes only where a computer gives
            the very same numbers.
        force: Overwrite.
        load: Gives models by name; `ncodec.checkpoints.load_any` if None.

    Raises:
        NcodecError: The source is damaged or cut, or the target has no place for its codes.
    """
    to = to or kind_of_name(_path_of(target))
    if to not in KINDS:
        raise ArgumentError(f"kind {to!r}: must be one of {', '.join(KINDS)}")
    if lm and to != "encodec":
        raise ArgumentError("LM coding is for .ecdc version 0 only (--to encodec)")
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            return convert(file, target, to=to, model=model, lm=lm, force=force, load=load)
    find = load or _load
    content = read_content(source, model, find)
    _check_pair(content, to, lm=lm)
    if content.kind == "dac" and to == "ecdc":
        header, _ = decodable(content, find(content.header.model))
        content = replace(content, header=header)
    if isinstance(target, (str, os.PathLike)):
        with atomic_output(target, force=force) as file:
            lost = _write(content, file, to, find, lm=lm)
    else:
        lost = _write(content, target, to, find, lm=lm)
    was_lm = bool(content.notes.get("lm"))
    return Converted(content.kind, to, content.header.model, tuple(lost), was_lm)


def compress_as(
    source: Any, target: BinaryIO, *, to: str, model: CompressionModel, **options: Any
) -> Compressed:
    """Code audio straight to another tool's kind of file.

    Args:
        source: As `ncodec.codec.compress` takes it.
        target: An open file.
        to: "encodec" (`.ecdc` version 0) or "dac".
        model: One that the format knows.
        **options: As `ncodec.codec.compress` takes them.
    """
    from ncodec.codec import compress

    with tempfile.TemporaryFile() as copy:
        done = compress(source, copy, model=model, **options)
        copy.seek(0)
        convert(copy, target, to=to, load=lambda name: model if name == model.name else _load(name))
        return done


def check(file: BinaryIO) -> str:
    """Read a `.ecdc` file of version 0 or a `.dac` file to its end; say what is known of it.

    Raises:
        BadFileError: It is cut short, or is damaged in a way that shows: these formats have no
            checksums.
    """
    begin = file.tell()
    kind = sniff(file.read(_HEAD))
    file.seek(begin)
    if kind == "dac":
        return f"complete, {read_dac(file).codes.shape[2]} frames; .dac has no checksums"
    content = read_content(file, None, _load)
    frames = sum(packet.frames for packet in content.packets)
    return f"complete, {frames} frames; version 0 has no checksums"


def read_content(file: BinaryIO, model: str | None, load: LoadModel) -> Content:
    """Read any file of codes; it must be seekable.

    Raises:
        BadFileError: It is none, or is damaged.
    """
    if not file.seekable():
        file = io.BytesIO(file.read())
    begin = file.tell()
    kind = sniff(file.read(_HEAD))
    file.seek(begin)
    readers: dict[str | None, Callable[[], Content]] = {
        "ecdc1": lambda: read_ecdc1(file),
        "ecdc0": lambda: read_ecdc0(file, load),
        "dac": lambda: read_dac_content(file, model, load),
        "npz": lambda: read_npz(file, model),
        "safetensors": lambda: read_safetensors(file, model),
    }
    if kind not in readers:
        raise BadFileError("no file of codes: neither .ecdc, .dac, .npz nor .safetensors")
    return readers[kind]()


def open_links(
    file: BinaryIO,
    keep_going: bool = False,
    *,
    max_seconds: float | None = DEFAULT_MAX_SECONDS,
    model: CompressionModel | str | None = None,
    device: str = "cpu",
) -> Iterator[EcdcReader | ForeignReader]:
    """Open any file of codes for decoding: as `ncodec_formats.open_links`, for other kinds too.

    `model` is a model or the name of one, instead of what the file says; a `ForeignReader` has the
    one that its packets decode with.
    """
    head = file.read(_HEAD)
    kind = sniff(head)
    file = _rewound(file, head)
    if kind in (None, "ecdc1"):
        yield from open_ecdc_links(file, keep_going, max_seconds=max_seconds)
        return
    name = model.name if isinstance(model, CompressionModel) else model

    def find(wanted: str) -> Any:
        return (
            model
            if wanted == name and isinstance(model, CompressionModel)
            else _load(wanted, device)
        )

    content = read_content(file, name, find)
    found = find(name or content.header.model)
    if content.kind == "dac":
        header, found = decodable(content, found)
    elif content.header.model_hash == NO_HASH:
        header = with_model(content.header, found)
    else:
        header = content.header
    yield ForeignReader(replace(content, header=header), found, keep_going=keep_going)


def _write(content: Content, file: BinaryIO, to: str, load: LoadModel, *, lm: bool) -> list[str]:
    if to == "ecdc":
        return write_ecdc1(content, file, load)
    if to == "encodec":
        return write_ecdc0(content, file, load, lm=lm)
    if to == "dac":
        return write_dac_content(content, file, load)
    return write_arrays(content, file, to)


def _check_pair(content: Content, to: str, *, lm: bool) -> None:
    same = {"ecdc1": "ecdc", "dac": "dac", "npz": "npz", "safetensors": "safetensors"}
    if same.get(content.kind) == to:
        raise ArgumentError(f"the source is {to} already")
    if content.kind == "ecdc0" and to == "encodec" and lm == bool(content.notes.get("lm")):
        raise ArgumentError("the source is .ecdc version 0 already, coded in that way")
    if content.notes.get("windowed") and to in ("ecdc", "encodec"):
        raise ArgumentError(
            "a .dac file of several windows: their frames overlap, so they make no stream; "
            "decompress it and compress the audio"
        )


def _rewound(file: BinaryIO, head: bytes) -> BinaryIO:
    if file.seekable():
        file.seek(file.tell() - len(head))
        return file
    joined: Any = _Replayed(file, head)
    return joined


class _Replayed:
    """A pipe of which the first bytes have been read already."""

    def __init__(self, file: BinaryIO, head: bytes) -> None:
        self._file, self._head = file, head

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._file.read(size)
        if size < 0:
            head, self._head = self._head, b""
            return head + self._file.read()
        part, self._head = self._head[:size], self._head[size:]
        return part

    def read1(self, size: int = -1) -> bytes:
        if self._head:
            return self.read(size if size >= 0 else len(self._head))
        reader = getattr(self._file, "read1", self._file.read)
        return reader(size)

    def seekable(self) -> bool:
        return False


def _path_of(target: str | os.PathLike[str] | BinaryIO) -> str:
    if isinstance(target, (str, os.PathLike)):
        return os.fspath(target)
    raise ArgumentError("the kind to write must be given for a file without a name (--to)")


def _load(name: str, device: str = "cpu") -> Any:
    from ncodec.checkpoints import load_any

    return load_any(name, device)
