"""The models of this machine: where they are kept, and how a name finds its file."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import sys
from pathlib import Path

from ncodec.checkpoints.registry import REGISTRY, Entry, canonical
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.export import is_export

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PRETRAINED = Path(__file__).parent.parent / "pretrained"


def cache_folder() -> Path:
    """Return the cache folder: `NCODEC_CACHE`, else what the platform's convention says.

    Linux and other Unix: `$XDG_CACHE_HOME/ncodec` or `~/.cache/ncodec`; macOS:
    `~/Library/Caches/ncodec`; Windows: `ncodec/Cache` under `%LOCALAPPDATA%`.
    """
    chosen = os.environ.get("NCODEC_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "ncodec"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else home / "AppData" / "Local") / "ncodec" / "Cache"
    xdg = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification tells readers to ignore a relative path.
    base = Path(xdg) if xdg and Path(xdg).is_absolute() else home / ".cache"
    return base / "ncodec"


def model_path(name: str) -> Path:
    """Return where the model called `name` is kept, whether or not it is there.

    Raises:
        ArgumentError: `name` could not be a file name everywhere.
    """
    if not _NAME.fullmatch(name):
        raise ArgumentError(
            f"model name {name!r}: up to 100 letters, digits, '.', '_', '-', "
            f"the first a letter or digit"
        )
    return cache_folder() / "models" / f"{name}.safetensors"


def text_encoder_path(name: str) -> Path:
    """Return where the text encoder that came with the language model `name` is kept."""
    model_path(name)  # checks the name
    return cache_folder() / "text" / name


def stored_names() -> list[str]:
    """Return the names of the models in the cache folder."""
    folder = cache_folder() / "models"
    return sorted(p.stem for p in folder.glob("*.safetensors") if _NAME.fullmatch(p.stem))


def earlier_weights() -> list[Path]:
    """Return the files of weights that an embedded model had in earlier releases.

    Each is named `NAME-FINGERPRINT`, after the first eight digits; files that were made with them
    find them by that fingerprint.
    """
    return sorted(PRETRAINED.glob("*-????????.safetensors"))


def _earlier(name: str) -> Path | None:
    return next((path for path in earlier_weights() if path.stem == name), None)


class UnknownModelError(CheckpointError):
    """No model has this name."""


def lookup(name: str) -> Entry:
    """Return the registry's entry of a name, or of a name on the Hugging Face hub.

    Raises:
        CheckpointError: There is none.
    """
    entry = REGISTRY.get(canonical(name))
    if entry is None:
        raise UnknownModelError(_unknown(name))
    return entry


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the model file of a name or a path, or a folder of exported graphs; nothing is loaded.

    Args:
        name_or_path: A name of the registry or of the Hugging Face hub, the name of an imported
            model, or the path of a model file (with a separator or the suffix `.safetensors`) or of
            a folder that `ncodec export` made.

    Raises:
        ArgumentError: It is neither a name nor a path.
        CheckpointError: There is no such model, or it has not been pulled.
    """
    try:
        text = os.fsdecode(name_or_path)
    except TypeError:
        kind = type(name_or_path).__name__
        raise ArgumentError(f"model of type {kind}: must be a name or a path") from None
    name = canonical(text)
    if name == text and (is_path(text) or not _NAME.fullmatch(text)):
        if not Path(text).is_file() and not is_export(text):
            raise UnknownModelError(_no_file(text))
        return Path(text)
    entry = REGISTRY.get(name)
    if entry is not None and entry.embedded:
        return PRETRAINED / f"{name}.safetensors"
    path = _earlier(name) or model_path(name)
    if path.is_file():
        return path
    if entry is not None:
        raise CheckpointError(f"{name} is not on this machine: `ncodec models pull {name}` gets it")
    if is_export(text):
        return Path(text)
    raise UnknownModelError(_unknown(text))


def remove(name: str) -> int:
    """Take a pulled or imported model off this machine; return how many bytes that frees.

    Raises:
        CheckpointError: It is not there, or it comes with the package.
    """
    entry = REGISTRY.get(canonical(name))
    if (entry is not None and entry.embedded) or _earlier(name) is not None:
        raise CheckpointError(f"{name}: comes with the package, and stays")
    if is_path(name) and entry is None:
        raise CheckpointError(f"{name}: pulled and imported models are removed by their names")
    path = model_path(canonical(name))
    if not path.is_file():
        raise CheckpointError(f"{name} is not on this machine" if entry else _unknown(name))
    size = path.stat().st_size
    text = text_encoder_path(path.stem)
    size += sum(file.stat().st_size for file in text.glob("*"))
    shutil.rmtree(text, ignore_errors=True)
    path.unlink()
    path.with_suffix(".lock").unlink(missing_ok=True)
    return size


def is_path(text: str) -> bool:
    """Say whether a model's name is taken for the path of its file."""
    return os.sep in text or "/" in text or text.endswith(".safetensors")


def _no_file(text: str) -> str:
    """Say that a path leads to no model; what looks like a name on the hub is taken for one."""
    if text and Path(text).is_dir():
        return f"{text}: is a folder; `ncodec models import {text}` takes in checkpoints"
    if re.fullmatch(r"[\w-]+/[\w.-]+", text) and not text.endswith(".safetensors"):
        return _unknown(text)
    return f"{text}: no such model file"


def _unknown(name: str) -> str:
    """Say that there is no such model, what may have been meant, and what is here."""
    hub = [s.repository for e in REGISTRY.values() for s in e.sources if s.repository]
    names = [*REGISTRY, *stored_names(), *hub]
    begun = [known for known in names if known.startswith(name)] if len(name) > 1 else []
    near = [*begun, *difflib.get_close_matches(name, names, 1)][:1]
    meant = f": did you mean {near[0]!r}?" if near else ""
    here = [e.name for e in REGISTRY.values() if e.embedded] + [
        each for each in stored_names() if getattr(REGISTRY.get(each), "is_codec", True)
    ]
    return f"unknown model {name!r}{meant}; here: {', '.join(here)} (`ncodec models list` has all)"
