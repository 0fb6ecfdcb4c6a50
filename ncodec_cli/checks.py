"""Checks that cost nothing, made before a library or a model is loaded."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from ncodec.errors import ArgumentError, BadFileError
from ncodec.files import same_file
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


def check_model(name: str | None) -> None:
    """Raise if there is no such model here, before a device is asked or a library loaded.

    Raises:
        CheckpointError: there is none.
    """
    if name is not None:
        from ncodec.checkpoints import find

        find(name)


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
    folder = os.path.dirname(target)
    if folder and not job.new_folder and not os.path.isdir(folder):
        code = errno.ENOTDIR if os.path.exists(folder) else errno.ENOENT
        raise OSError(code, os.strerror(code), target)


def exists(job: Job) -> bool:
    """Say whether a job would overwrite a file."""
    return job.target != "-" and os.path.isfile(job.target)
