"""The conformance kit: files with what a reader must find in them, run on this machine.

`formats/vectors` has three groups after the FLAC test bench: subset (what every reader must read),
uncommon (valid, at the edges of the format) and faulty (the error that must be given, and what can
be read nevertheless). Each group's `expected.json` describes its files.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from .entropy import CODINGS, Codings, Predicted, Tables
from .entropy.predictor import Predictor
from .entropy.toy import toy_tables
from .errors import BadFileError, NcodecError
from .packets import Packet
from .reader import EcdcReader, open_links

GROUPS = ("subset", "uncommon", "faulty")
TABLES = "subset/toy.tables"
"""What predicts the codes of the kit's files, beside them."""


class Result(NamedTuple):
    """How one file fared; `text` says what it is, or what was found instead of what must be."""

    name: str
    ok: bool
    text: str


def selftest(folder: Path | None = None) -> Iterator[Result]:
    """Yields the result of each file of the kit.

    Raises:
        BadFileError: the kit is not there.
    """
    folder = folder or _folder()
    codings = kit_codings(folder)
    for group in GROUPS:
        place = folder / group
        try:
            expected: dict[str, dict[str, Any]] = json.loads(
                (place / "expected.json").read_text("utf-8")
            )
        except OSError as error:
            raise BadFileError(f"the conformance kit is not at {place}") from error
        for name, entry in expected.items():
            text = check_vector((place / name).read_bytes(), entry, codings)
            yield Result(f"{group}/{name}", not text, text or entry["is"])


def exactness_hash() -> str:
    """Returns a SHA-256 over predicted layers and all frequencies behind them, of random tables.

    It must be `EXACTNESS` on every machine, with every library that multiplies matrices.
    """
    import numpy as np

    tables = toy_tables((1024,) * 4, width=32, units=128)
    predictor, layers = Predictor.of(tables), range(4)
    rng = np.random.Generator(np.random.PCG64(1))
    digest = hashlib.sha256()
    for packets, frames in ((2, 75), (1, 19), (1, 1)):
        codes = rng.integers(0, 1024, (packets, 4, 1, frames)).astype(np.uint16)
        for k in layers:
            below = predictor.sums(codes[:, :k, 0])
            contexts = predictor.context(below, below)
            units = predictor.units(k, contexts.reshape(packets * frames, -1))
            blocks = predictor.block_frequencies(k, units)
            places = predictor.place_frequencies(k, units, np.arange(len(units)) % 32)
            digest.update(blocks.astype("<i4").tobytes() + places.astype("<i4").tobytes())
        data = [[rng.bytes(frames) for _ in layers] for _ in codes]
        Predicted(tables).decode(data, codes, layers, tables.sizes)
        for packet in Predicted(tables).encode(codes, layers, tables.sizes):
            digest.update(b"".join(packet))
    return digest.hexdigest()


EXACTNESS = "1706ac707868c5e28de81bebdce7158b554f3caacfca5b0e0651444649c01312"


def exactness() -> Result:
    """Checks the arithmetic of predicted layers on this machine."""
    found = exactness_hash()
    text = "frequencies of predicted layers, to the bit"
    if found != EXACTNESS:
        text = f"frequencies with hash {found[:12]}, not {EXACTNESS[:12]}: this machine would lose "
        text += "recordings; tell us of it"
    return Result("exactness", found == EXACTNESS, text)


def kit_codings(folder: Path | None = None) -> Codings:
    """Returns the codings by which the kit's files are read.

    Raises:
        BadFileError: the kit is not there.
    """
    path = (folder or _folder()) / TABLES
    try:
        tables = Tables.parse(path.read_bytes())
    except OSError as error:
        raise BadFileError(f"the conformance kit is not at {path.parent.parent}") from error
    return {**CODINGS, Predicted.kind: Predicted(tables)}


def check_vector(data: bytes, expected: dict[str, Any], codings: Codings = CODINGS) -> str:
    """Compares what is found in a file with what must be; returns the difference, or nothing."""
    strict, error = _read(data, codings, keep_going=False)
    if error != expected.get("error"):
        return f"error {error} where {expected.get('error')} is due"
    if "links" in expected and error is None and strict != expected["links"]:
        return f"found {strict}, not {expected['links']}"
    if "damaged" in expected:
        found, error = _read(data, codings, keep_going=True)
        if error or found != expected["damaged"]:
            return f"despite damage: found {error or found}, not {expected['damaged']}"
    return ""


def _read(
    data: bytes, codings: Codings, *, keep_going: bool
) -> tuple[list[dict[str, Any]], str | None]:
    links: list[dict[str, Any]] = []
    try:
        for reader in open_links(io.BytesIO(data), keep_going, codings=codings):
            links.append(_describe(reader))
    except NcodecError as error:
        return links, type(error).__name__
    return links, None


def _describe(reader: EcdcReader) -> dict[str, Any]:
    """Returns what was found in a link, in the terms of `expected.json`."""
    digest = hashlib.sha256()
    packets: list[list[int]] = []
    for item in reader:
        if isinstance(item, Packet):
            packets.append([item.first_frame, len(item.codes), item.frames])
            digest.update(item.codes.astype("<u2").tobytes())
            if item.scale is not None:
                digest.update(item.scale.astype("<f4").tobytes())
    losses = {name: count for name, count in asdict(reader.losses).items() if count}
    return {
        "codebook_sizes": list(reader.header.codebook_sizes),
        "streams": reader.header.streams,
        "packets": packets,
        "codes_sha256": digest.hexdigest(),
        "start": reader.header.start,
        "end": reader.total_samples,
        **({"losses": losses} if losses else {}),
    }


def _folder() -> Path:
    """Returns where the kit is: in the package when installed, beside it in a clone."""
    inside = Path(__file__).parent / "vectors"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "vectors"
