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

from .errors import BadFileError, NcodecError
from .packets import Packet
from .reader import EcdcReader, open_links

GROUPS = ("subset", "uncommon", "faulty")


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
    for group in GROUPS:
        place = (folder or _folder()) / group
        try:
            expected: dict[str, dict[str, Any]] = json.loads(
                (place / "expected.json").read_text("utf-8")
            )
        except OSError as error:
            raise BadFileError(f"the conformance kit is not at {place}") from error
        for name, entry in expected.items():
            text = check_vector((place / name).read_bytes(), entry)
            yield Result(f"{group}/{name}", not text, text or entry["is"])


def check_vector(data: bytes, expected: dict[str, Any]) -> str:
    """Compares what is found in a file with what must be; returns the difference, or nothing."""
    strict, error = _read(data, keep_going=False)
    if error != expected.get("error"):
        return f"error {error} where {expected.get('error')} is due"
    if "links" in expected and error is None and strict != expected["links"]:
        return f"found {strict}, not {expected['links']}"
    if "damaged" in expected:
        found, error = _read(data, keep_going=True)
        if error or found != expected["damaged"]:
            return f"despite damage: found {error or found}, not {expected['damaged']}"
    return ""


def _read(data: bytes, keep_going: bool) -> tuple[list[dict[str, Any]], str | None]:
    links: list[dict[str, Any]] = []
    try:
        links.extend(_describe(reader) for reader in open_links(io.BytesIO(data), keep_going))
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
