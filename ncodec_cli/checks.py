"""Checks that cost nothing, made before a library or a model is loaded."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ncodec.errors import ArgumentError, BadFileError, DeviceError
from ncodec.files import check_folder, same_file
from ncodec_cli.common import check_stream
from ncodec_cli.plan import Job, is_special

_HEAD = 189
Refuse = Callable[[str, bytes], None]
"""Raises BadFileError if a file, by its name and first bytes, is none that a command reads."""


def refuse_coded(path: str, head: bytes) -> None:
    """Refuse to compress what is compressed."""
    from ncodec_formats import sniff

    try:
        kind = sniff(head)
    except BadFileError:
        return
    called = {"ecdc": "an ECDC file", "ecdc0": "an ECDC file"}.get(kind, f"a .{kind} file")
    raise BadFileError(f"{path}: is {called}; did you mean `ncodec decompress {path}`?")


def refuse_audio(path: str, head: bytes) -> None:
    """Refuse to decompress what is not compressed."""
    from ncodec.audio.kinds import NAMES, NO_AUDIO, sniff

    kind = sniff(head)
    if kind is not None and kind not in NO_AUDIO:
        raise BadFileError(
            f"{path}: is audio ({NAMES.get(kind, kind.upper())}), not an ECDC file; "
            f"did you mean `ncodec compress {path}`?"
        )


def check_model(options: dict[str, Any], default: str | None = None) -> None:
    """Raise if there is no such model or device here, or the model has no such bitrate.

    This costs milliseconds; PyTorch is not loaded.

    Raises:
        ArgumentError: One codebook is more than --bw, or there are fewer than --codebooks.
        CheckpointError: There is no such model.
        DeviceError: This machine does not have the device.
    """
    check_device(options["device"])
    name = options["model"] or default
    rate, codebooks = options.get("bw"), options.get("codebooks")
    if name is None and rate is None and codebooks is None:
        return
    from ncodec.checkpoints import DEFAULT_MODEL, find, read_model_info

    path = find(name or DEFAULT_MODEL)
    if rate is None and codebooks is None:
        return
    from ncodec.models.families import find_family
    from ncodec_formats.bitrate import check_codebooks, codebooks_within

    info = read_model_info(path)
    family = find_family(info.family)
    if family.kind != "codec":
        return  # loading says so
    shape = family.config.from_dict(info.config).shape()
    sizes = [shape.bins] * shape.codebooks
    if codebooks is not None:
        check_codebooks(codebooks, shape.codebooks, info.name)
    if rate is not None:
        frames = shape.sample_rate / shape.hop
        codebooks_within(rate, sizes, 1, frames, of=f" for 1 stream of {info.name}")


def check_device(name: str) -> None:
    """Raise if PyTorch, as it is installed here, cannot have a device; that takes no loading.

    Raises:
        DeviceError: It cannot.
    """
    if name in ("cuda", "mps") and sys.platform != "darwin" and _torch_is_for_cpus():
        raise DeviceError(f"device {name!r}: this machine has cpu")


def _torch_is_for_cpus() -> bool:
    """Say whether PyTorch was built without CUDA and without ROCm, by what it says in a file."""
    found = importlib.util.find_spec("torch")
    try:
        text = Path(found.origin or "").with_name("version.py").read_text("utf-8") if found else ""
    except (OSError, UnicodeDecodeError):
        return False
    built = dict(re.findall(r"^(cuda|hip)\b[^=\n]*=\s*(\S+)", text, re.MULTILINE))
    return built.get("cuda") == "None" and built.get("hip", "None") == "None"


def check_source(path: str, refuse: Refuse | None) -> None:
    """Raise what opening the input would raise; pipes and devices are not touched."""
    if path == "-":
        check_stream("stdin")
    elif not is_special(path):
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
        if refuse is not None:
            refuse(path, head)


def check_target(job: Job) -> None:
    """Raise what opening the output would raise, except that it is there already."""
    target = job.target
    if target == "-":
        check_stream("stdout")
        return
    if job.source != "-" and same_file(job.source, target) and not is_special(target):
        raise ArgumentError(f"{target}: is the input; the output must be another file")
    if os.path.isdir(target):
        raise ArgumentError(f"{target}: is a folder; the output must be a file")
    if not job.new_folder:
        check_folder(target)


def exists(job: Job) -> bool:
    """Say whether a job would overwrite a file."""
    return job.target != "-" and os.path.isfile(job.target)
