"""Codes as plain arrays, `.npz` and `.safetensors`, for those who feed them to other programs.

`codes` is `[S, K, F]`: streams, codebooks, frames (uint16 in `.npz`, int64 in `.safetensors`, which
not every reader can take as uint16). Models of segments add `scale` `[S, segments]` and
`segment_frames`. A JSON text, `ncodec` in the archive or in the metadata, says the rest, so that
the file can be turned back; without it the model's name must be given.
"""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, BinaryIO

import numpy as np

from ncodec.containers.content import Content, make_content_header, packets_of, shape_of, whole
from ncodec.errors import ArgumentError, BadFileError, LimitError, NcodecError
from ncodec_formats import Header, Packet
from ncodec_formats.foreign.arrays import DESCRIPTION

MAX_BYTES = 1 << 30
"""Largest size of the arrays in a file that is read."""


def write_arrays(content: Content, file: BinaryIO, to: str) -> list[str]:
    """Write `.npz` or `.safetensors`; nothing is lost."""
    codes, scales, sizes = whole(content)
    arrays: dict[str, np.ndarray] = {"codes": np.ascontiguousarray(codes.transpose(1, 0, 2))}
    if scales is not None:
        arrays["scale"] = np.ascontiguousarray(scales.T)
        arrays["segment_frames"] = np.array(sizes, np.int64)
    text = _describe(content)
    if to == "npz":
        np.savez_compressed(file, allow_pickle=False, **arrays, **{DESCRIPTION: np.array(text)})
    else:
        from safetensors.numpy import save

        arrays["codes"] = arrays["codes"].astype(np.int64)
        file.write(save(arrays, metadata={DESCRIPTION: text}))
    return []


def read_npz(file: BinaryIO, name: str | None) -> Content:
    """Read an `.npz` archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > MAX_BYTES:
            raise LimitError(f"{size} bytes of arrays; at most {MAX_BYTES}")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (zipfile.BadZipFile, ValueError, OSError, KeyError, EOFError) as error:
        raise BadFileError(f"not an .npz archive of arrays ({error})") from error
    text = arrays.pop(DESCRIPTION, None)
    return _content("npz", arrays, None if text is None else str(text), name)


def read_safetensors(file: BinaryIO, name: str | None) -> Content:
    """Read a `.safetensors` file of codes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise LimitError(f"more than {MAX_BYTES} bytes of arrays")
    try:
        arrays = load(data)
        head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise BadFileError(f"not a safetensors file ({error})") from error
    text = head.get("__metadata__", {}).get(DESCRIPTION)
    return _content("safetensors", arrays, text, name)


def _describe(content: Content) -> str:
    header = content.header
    values = {
        key: value
        for key, value in asdict(replace(header, extra={})).items()
        if key not in ("extra", "kinds", "tables", "source_samples")
    }
    values["model_hash"] = base64.b16encode(header.model_hash).decode().lower()
    return json.dumps({"source_samples": content.source_samples, **values})


def _content(
    kind: str, arrays: Mapping[str, np.ndarray], text: str | None, name: str | None
) -> Content:
    if "codes" not in arrays:
        raise BadFileError(f"no array 'codes'; the file has {', '.join(arrays) or 'nothing'}")
    codes = _checked_codes(arrays["codes"])
    header, total = _header(codes, text, name)
    size = header.packet_frames
    frames = codes.shape[2]
    sizes = [min(size, frames - at) for at in range(0, frames, size)]
    scales = None
    if "scale" in arrays:
        scales = arrays["scale"].astype(np.float32).T
        sizes = [int(n) for n in arrays.get("segment_frames", np.array(sizes)).reshape(-1)]
        if sum(sizes) != frames or len(scales) != len(sizes) or min(sizes, default=1) < 1:
            raise BadFileError("the segments do not fit the codes and scales")
    if codes.size and int(codes.max()) >= min(header.codebook_sizes):
        raise BadFileError(f"a code of {int(codes.max())} lies outside its codebook")

    def again() -> Iterator[Packet]:
        for packet in packets_of(codes.transpose(1, 0, 2), scales, sizes):
            try:
                header.check_packet(packet)
            except ArgumentError as error:
                raise BadFileError(f"the codes do not fit their description: {error}") from error
            yield packet

    return Content(kind, header, again(), total, again)


def _checked_codes(codes: np.ndarray) -> np.ndarray:
    if codes.ndim == 2:
        codes = codes[None]
    if codes.ndim != 3 or codes.dtype.kind not in "iu" or not codes.shape[0] or not codes.shape[1]:
        what = f"{codes.dtype} {list(codes.shape)}"
        raise BadFileError(f"codes are {what}; they must be integers [S, K, F] or [K, F]")
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << 16:
        raise BadFileError("a code lies outside 0 to 65535")
    return codes.astype(np.uint16)


def _header(codes: np.ndarray, text: str | None, name: str | None) -> tuple[Header, int]:
    streams, codebooks, frames = codes.shape
    if text is None:
        if name is None:
            raise ArgumentError("the file does not say which model its codes are of: model=NAME")
        shape = shape_of(name)
        total = frames * shape.hop
        header = make_content_header(
            name,
            shape,
            streams=streams,
            codebooks=codebooks,
            source_rate=shape.sample_rate,
            source_channels=streams * shape.channels,
            source_samples=total,
        )
        return header, total
    try:
        values: dict[str, Any] = json.loads(text)
        total = int(values.pop("source_samples"))
        values["model_hash"] = bytes.fromhex(values["model_hash"])
        values["tags"] = [tuple(tag) for tag in values.get("tags", [])]
        known = {field.name for field in fields(Header)}
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
            if key in known
        }
        header = Header(**given, source_samples=total)
    except (ValueError, KeyError, TypeError, AttributeError, NcodecError) as error:
        raise BadFileError(f"the description of the codes is wrong ({error})") from error
    if (header.streams, len(header.codebook_sizes)) != (streams, codebooks):
        raise BadFileError(
            f"codes of {streams} streams and {codebooks} codebooks, where the description says "
            f"{header.streams} and {len(header.codebook_sizes)}"
        )
    return header, total
