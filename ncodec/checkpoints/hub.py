"""The Hugging Face hub: what of it is on this machine, and its environment variables.

`HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` mean what huggingface_hub's
documentation says of them; proxies are those of the usual variables.
"""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

_TIMEOUT = 10.0


def is_offline() -> bool:
    """Say whether `HF_HUB_OFFLINE` asks that nothing be fetched from the hub."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def address(repository: str, file: str) -> str:
    """Return the address of a file of a repository, at `HF_ENDPOINT` if that is set."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    return f"{endpoint}/{repository}/resolve/main/{file}"


def cached(repository: str, file: str) -> tuple[Path, str] | None:
    """Return a repository's file in the hub's cache, and the SHA-256 under which it lies there.

    The digest is empty where the cache does not tell it, as on systems without symbolic links.
    """
    folder = _cache() / f"models--{repository.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    path = folder / "snapshots" / commit / file
    if not re.fullmatch("[0-9a-f]{40}", commit) or not path.is_file():
        return None
    # Large files lie under their SHA-256, small ones under git's 40 digits.
    name = path.resolve().name
    return path, name if _is_sha256(name) else ""


def published_sha256(repository: str, file: str) -> str:
    """Ask the hub for the SHA-256 of a repository's file; empty if it does not tell."""
    request = urllib.request.Request(  # noqa: S310 - https, or what HF_ENDPOINT says
        address(repository, file), method="HEAD", headers={"User-Agent": "ncodec"}
    )
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=_TIMEOUT) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    except (OSError, ValueError):
        return ""
    digest = (headers.get("X-Linked-ETag") or headers.get("ETag") or "").strip('"')
    return digest if _is_sha256(digest) else ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The digest stands in the hub's own answer, which sends on to where the file lies."""

    def redirect_request(  # noqa: PLR0917
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Go nowhere."""


def _cache() -> Path:
    chosen = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if chosen:
        return _path(chosen)
    home = os.environ.get("HF_HOME")
    if home:
        return _path(home) / "hub"
    return _path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def _path(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser()


def _is_sha256(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None
