"""`pull`: download a known model, verify it, convert it, keep it."""

from __future__ import annotations

import posixpath
from urllib.parse import urlsplit

from ncodec.checkpoints.cache import cache_folder, model_path
from ncodec.checkpoints.fetch import Progress, fetch, locked
from ncodec.checkpoints.files import ModelInfo, read_model_info
from ncodec.checkpoints.imports import import_model
from ncodec.checkpoints.registry import Source, lookup
from ncodec.errors import CheckpointError


def pull(
    name: str,
    *,
    mirror: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ModelInfo:
    """Get a known model on to this machine; one that is here already is left as it is.

    Args:
        name: A name of the registry.
        mirror: Address of a folder that has the file under its own name, instead of the usual one.
        force: Download again. The file must be the one that was pulled before.
        progress: Told of every block of the download.

    Raises:
        CheckpointError: No source gave the file, it is damaged, or it is not the model.
    """
    entry = lookup(name)
    if entry.embedded:
        raise CheckpointError(f"{name} comes with the package: there is nothing to pull")
    target = model_path(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # One lock over download and conversion: of two pulls, the second finds the model.
        with locked(target.with_suffix(".lock")):
            before = read_model_info(target) if target.is_file() else None
            if before is not None and not force:
                return before
            return _from_any(name, _sources(entry.sources, mirror), before, progress)
    except OSError as error:
        raise CheckpointError(f"{target.parent}: cannot write ({error.strerror})") from error


def _sources(sources: tuple[Source, ...], mirror: str | None) -> tuple[Source, ...]:
    if mirror is None:
        return sources
    return tuple(Source(f"{mirror.rstrip('/')}/{_file_name(s)}", s.sha256) for s in sources)


def _from_any(
    name: str, sources: tuple[Source, ...], before: ModelInfo | None, progress: Progress | None
) -> ModelInfo:
    """Take the first source that can be reached and holds the model."""
    failures: list[str] = []
    for source in sources:
        try:
            return _from_one(name, source, before, progress)
        except CheckpointError as error:
            failures.append(str(error))
    raise CheckpointError("; ".join(failures))


def _from_one(
    name: str, source: Source, before: ModelInfo | None, progress: Progress | None
) -> ModelInfo:
    # A folder of its own for each model: many sources call their file model.safetensors.
    download = cache_folder() / "downloads" / name / _file_name(source)
    expected = source.sha256
    if before is not None and before.notes.get("file") == _file_name(source):
        expected = str(before.notes["sha256"])
    digest = fetch(source.url, download, expected, progress)
    notes = {"source": source.url, "file": _file_name(source), "sha256": digest}
    try:
        return import_model(download, name, notes=notes, force=True).info
    finally:
        download.unlink(missing_ok=True)


def _file_name(source: Source) -> str:
    return posixpath.basename(urlsplit(source.url).path)
