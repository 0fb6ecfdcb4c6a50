"""Where downloaded and imported models live on this machine."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from ncodec.errors import ArgumentError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


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


def stored_names() -> list[str]:
    """Return the names of the models in the cache folder."""
    folder = cache_folder() / "models"
    return sorted(p.stem for p in folder.glob("*.safetensors") if _NAME.fullmatch(p.stem))
