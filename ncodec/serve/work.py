"""What is done with an uploaded file, in a process that may take so much and no more.

A process is forked for each file from one that has loaded library and models, so that it begins at
once, and whatever a file does to it stays in it.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ncodec.errors import BadFileError, LimitError, NcodecError
from ncodec.serve.settings import Limits

MODELS = "NCODEC_SERVE_MODELS"
"""Variable with the names of the models that `forked` loads, by commas."""
_FILES = 64


@dataclass(frozen=True)
class Job:
    """Work on one file.

    Attributes:
        kind: A key of `KINDS`.
        source: Where the upload is.
        target: Where the answer goes.
        model: The name of a model on the list.
        models: All of the list.
        options: As the library's function takes them.
    """

    kind: str
    source: str
    target: str
    model: str
    models: tuple[str, ...]
    options: dict[str, Any]


def run(job: Job, limits: Limits, answer: Connection) -> None:
    """Do a job within the limits; answer with ("done", None) or (error's name, its line)."""
    try:
        _confine(limits)
        KINDS[job.kind](job, limits)
        result = ("done", None)
    except NcodecError as error:
        result = (type(error).__name__, _without_path(str(error), job))
    except MemoryError:
        result = (LimitError.__name__, "the file takes more memory than there is for one")
    except OSError as error:
        words = _without_path(error.strerror or str(error), job)
        result = (BadFileError.__name__, f"the file cannot be worked on: {words}")
    except Exception as error:  # noqa: BLE001  # the file's doing, whatever it is
        result = (BadFileError.__name__, f"the file cannot be read ({type(error).__name__})")
    answer.send(result)
    answer.close()


def _confine(limits: Limits) -> None:
    """Lower what this process may take, once and for all."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error of the write instead of the end
    size = _virtual_size()
    seconds = max(1, round(limits.job_seconds))
    for what, most in (
        *([] if size is None else [(resource.RLIMIT_AS, size + limits.job_memory)]),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, limits.output_bytes),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        lower = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (lower, lower))
    os.nice(10)  # streams first
    os.setsid()  # what it starts ends with it


def _virtual_size() -> int | None:
    """Return how much address space this process takes; None on systems that cannot limit it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # macOS
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _without_path(text: str, job: Job) -> str:
    """Let a line speak of the upload and not of the file in which it lies here."""
    for path in (job.source, job.target, os.path.realpath(job.source)):
        text = text.replace(f"{path}: ", "").replace(path, "the file")
    return " ".join(text.split())


def _bounded(limits: Limits) -> Callable[[float, float | None], None]:
    """Return a callback that ends work on more sound than is allowed."""

    def check(done: float, total: float | None) -> None:
        if max(done, total or 0) > limits.audio_seconds:
            raise LimitError(f"more than {limits.audio_seconds:g} s of sound in one file")

    return check


def _check_audio(path: str, limits: Limits) -> None:
    """Refuse audio that says itself that it is too long, before any of it is decoded."""
    from ncodec.audio import open_audio

    with closing(open_audio(path, name="the file")) as reader:
        _bounded(limits)(0, None if reader.samples is None else reader.samples / reader.sample_rate)


def _check_models(job: Job) -> dict[str, Any]:
    """Refuse a file of codes of a model that is not on the list; return what the file says."""
    from ncodec_formats import info

    with Path(job.source).open("rb") as file:
        found = info(file)
    for link in found.get("links", [found]):
        if link.get("model") not in (None, *job.models):
            raise BadFileError(
                f"made with model {link['model']}; this server has {', '.join(job.models)}"
            )
    return found


def _is_coded(path: str) -> bool:
    from ncodec_formats.info import sniff

    with Path(path).open("rb") as file:
        start = file.read(9)
    try:
        return bool(sniff(start))
    except BadFileError:
        return False


def _compress(job: Job, limits: Limits) -> None:
    from ncodec.codec import compress

    _check_audio(job.source, limits)
    compress(
        job.source, job.target, model=_MODELS.get(job.model, job.model), name="the file",
        progress=_bounded(limits), **job.options,
    )  # fmt: skip


def _decompress(job: Job, limits: Limits) -> None:
    from ncodec.codec import decompress

    _check_models(job)
    decompress(
        job.source, job.target, name="the file", max_seconds=limits.audio_seconds,
        progress=_bounded(limits), model=_preloaded(job), **job.options,
    )  # fmt: skip


def _preloaded(job: Job) -> Any:
    """Return the model that a file is of, if it is in memory; the library finds it otherwise."""
    found = _check_models(job)
    names = {link.get("model") for link in found.get("links", [found])}
    return _MODELS.get(names.pop()) if len(names) == 1 and found["format"] == "ecdc" else None


def _codes(job: Job, limits: Limits) -> None:
    """Write codes `[S, K, F]`, of audio or of a file of codes, as arrays or JSON."""
    import numpy as np

    from ncodec.codec import convert

    source, arrays = job.source, job.target
    options = dict(job.options)
    to = options.pop("to")
    if _is_coded(job.source):
        _check_models(job)
    else:
        source = f"{job.target}.ecdc"
        _compress(Job("compress", job.source, source, job.model, job.models, options), limits)
    if to == "json":
        arrays = f"{job.target}.npz"
    convert(source, arrays, to="npz")
    if to == "json":
        with np.load(arrays, allow_pickle=False) as found:
            codes = np.asarray(found["codes"])
        said = _check_models(Job("codes", source, job.target, job.model, job.models, {}))
        link = said.get("links", [said])[0]
        text = json.dumps({"model": link.get("model"), "codes": codes.tolist()})
        Path(job.target).write_text(text, encoding="ascii")


def _info(job: Job, limits: Limits) -> None:
    from ncodec_formats import info

    with Path(job.source).open("rb") as file:
        found = info(file)
    Path(job.target).write_text(json.dumps(found), encoding="utf-8")


def _vocode(job: Job, limits: Limits) -> None:
    """Make sound of mels in a `.npy`, `.npz` or `.safetensors` file."""
    from ncodec.vocoder import Vocoder
    from ncodec.vocoder.files import read_mels, vocode

    model = Vocoder.get_pretrained(job.model, "cpu")
    with Path(job.source).open("rb") as file, Path(job.target).open("wb") as out:
        start = file.read(9)
        file.seek(0)
        kind = ".npy" if start.startswith(b"\x93NUMPY") else ".npz"
        kind = ".safetensors" if start[8:9] == b"{" else kind
        options = dict(job.options)
        mels, frames = read_mels(file, kind, model, frames_first=options.pop("frames_first"))
        _bounded(limits)(0, frames * model.hop / model.sample_rate)
        vocode(mels, out, model, frames=frames, **options)


def _generate(job: Job, limits: Limits) -> None:
    """Make sound with a language model, or go on from what was uploaded."""
    from itertools import chain

    from ncodec.lm import load_generator
    from ncodec.lm.files import read_prompt, tags_of, write_generated

    options = dict(job.options)
    container, text = options.pop("container"), options.pop("text", None)
    _bounded(limits)(0, options["duration"])
    model = _GENERATORS.get(job.model) or load_generator(job.model)
    model.set_generation_params(**options)
    with Path(job.source).open("rb") as file, Path(job.target).open("wb") as out:
        uploaded = os.fstat(file.fileno()).st_size > 0
        prompt = read_prompt(file, model, "the file") if uploaded else None
        frames = model.stream_codes(text, prompt=prompt)
        write_generated(
            model, chain(() if prompt is None else prompt.T, frames), out, container=container,
            tags=tags_of(model, text), progress=_bounded(limits),
        )  # fmt: skip


KINDS: dict[str, Callable[[Job, Limits], None]] = {
    "compress": _compress,
    "decompress": _decompress,
    "codes": _codes,
    "info": _info,
    "vocode": _vocode,
    "generate": _generate,
}
_MODELS: dict[Any, Any] = {}
_GENERATORS: dict[str, Any] = {}


def preload(names: tuple[str, ...]) -> None:
    """Have library and models in this process, from which those of jobs are forked."""
    for module in ("ncodec.codec", "ncodec.vocoder.files", "ncodec.lm.files"):
        importlib.import_module(module)
    from ncodec.checkpoints import load
    from ncodec.lm import load_generator

    # What is neither is a vocoder, or not there: the request hears of it.
    for name in names:
        with suppress(NcodecError):
            _MODELS[name] = load(name)
            continue
        with suppress(NcodecError):
            _GENERATORS[name] = load_generator(name)
