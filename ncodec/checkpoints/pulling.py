"""`pull`: download a known model, verify it, convert it, keep it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ncodec.checkpoints import hub
from ncodec.checkpoints.cache import cache_folder, lookup, model_path
from ncodec.checkpoints.fetch import fetch, file_sha256
from ncodec.checkpoints.model_info import ModelInfo, read_model_info
from ncodec.checkpoints.registry import Entry, Source
from ncodec.errors import CheckpointError
from ncodec.files import locked
from ncodec.progress import Progress


def pull(
    name: str,
    *,
    mirror: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ModelInfo:
    """Get a known model on to this machine; one that is here already is left as it is.

    What it needs besides, as a language model its codec, comes too. What the Hugging Face hub's
    cache has is taken from there. The file's SHA-256 is compared with
    the published one: that of the registry, or else that which the hub tells.

    Args:
        name: A name of the registry, or of the Hugging Face hub.
        mirror: Address of a folder that has the file under its own name, instead of the usual one.
        force: Download again. The file must be the one that was pulled before.
        progress: Told of every block of the download.

    Raises:
        CheckpointError: No source gave the file, it is damaged, or it is not the model. The message
            has a line for each source, and one with the way out.
    """
    entry = lookup(name)
    if entry.embedded:
        raise CheckpointError(f"{entry.name} comes with the package: there is nothing to pull")
    for need in entry.needs:
        pull(need, mirror=mirror, force=force, progress=progress)
    target = model_path(entry.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # One lock over download and conversion: of two pulls, the second finds the model.
        with locked(target.with_suffix(".lock")):
            before = read_model_info(target) if target.is_file() else None
            if before is not None and not force:
                return before
            return _from_any(entry, mirror, before, progress)
    except OSError as error:
        raise CheckpointError(f"{target.parent}: cannot write ({error.strerror})") from error


@dataclass(frozen=True)
class _Place:
    """Where the model may be had: an address, or a file that is here already.

    `sha256` is what the hub's cache says of the file; `asks_hub` if the address is the hub's own.
    """

    source: Source
    url: str
    file: Path | None = None
    sha256: str = ""
    asks_hub: bool = False


def _from_any(
    entry: Entry, mirror: str | None, before: ModelInfo | None, progress: Progress | None
) -> ModelInfo:
    """Take the first source that can be reached and holds the model."""
    failures: list[str] = []
    for place in _places(entry, mirror):
        try:
            return _from_one(entry, place, before, progress)
        except CheckpointError as error:
            failures.append(" ".join(str(error).split()))
    failures.append(
        f"{entry.name}: no source gave it; download the file elsewhere and "
        "`ncodec models import FILE`, or name a mirror=URL that has it"
    )
    raise CheckpointError("\n".join(failures))


def _places(entry: Entry, mirror: str | None) -> Iterator[_Place]:
    if mirror is not None:
        folder = Path(mirror).resolve().as_uri() if Path(mirror).is_dir() else mirror.rstrip("/")
        for source in entry.sources:
            yield _Place(source, f"{folder}/{_file_name(source.url)}")
        return
    for source in entry.sources:
        if source.repository and (found := hub.cached(source.repository, source.file)):
            yield _Place(source, str(found[0]), *found)
    for source in entry.sources:
        if source.repository:
            yield _Place(source, hub.address(source.repository, source.file), asks_hub=True)
        else:
            yield _Place(source, source.url)


def _from_one(
    entry: Entry, place: _Place, before: ModelInfo | None, progress: Progress | None
) -> ModelInfo:
    file_name = _file_name(place.source.url)
    published = _published(place)
    expected = published
    if before is not None and before.notes.get("file") == file_name:
        expected = str(before.notes["sha256"])
    if place.file is not None:
        digest = file_sha256(place.file)
        if not digest.startswith(expected):
            raise CheckpointError(
                f"{place.url}: damaged or replaced: its SHA-256 is {digest}, not {expected}"
            )
        file = place.file
    else:
        # A folder of its own for each model: many sources call their file model.safetensors.
        file = cache_folder() / "downloads" / entry.name / file_name
        digest = fetch(place.url, file, expected, progress)
    notes = {
        "source": place.url,
        "file": file_name,
        "sha256": digest,
        "published": bool(published) and digest.startswith(published),
    }
    from ncodec.checkpoints.imports import take_in  # PyTorch; there is something to convert now

    try:
        return take_in(file, entry, notes).info
    finally:
        if place.file is None:
            file.unlink(missing_ok=True)


def _published(place: _Place) -> str:
    """Return the published SHA-256 or its first digits; empty if there is none.

    What a mirror says of its own file proves nothing, and is not asked.
    """
    if not place.asks_hub:
        return place.source.sha256 or place.sha256
    if hub.is_offline():
        raise CheckpointError(f"{place.url}: not asked, since HF_HUB_OFFLINE is set")
    return place.source.sha256 or hub.published_sha256(place.source.repository, place.source.file)


def _file_name(url: str) -> str:
    return posixpath.basename(urlsplit(url).path)
