"""Files of mels: arrays in `.npy`, `.npz` and `.safetensors`, and the sound that they become."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from io import IOBase
from math import prod
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Protocol, cast
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncodec.audio import Resampler, Samples, mix_channels, open_audio, open_writer
from ncodec.errors import ArgumentError, BadFileError, LimitError
from ncodec.progress import Progress
from ncodec.vocoder.model import Vocoder

ARRAYS = frozenset({".npy", ".npz", ".safetensors"})
MAX_BYTES = 4 << 30
"""Of mels that cannot be read piece by piece."""
_BLOCK_SECONDS = 4.0

Mels = NDArray[np.float32]


@dataclass(frozen=True)
class Vocoded:
    """What was made.

    Attributes:
        frames: of mels.
        samples: of audio.
        sample_rate: of it, in Hz.
        clipped: samples that were louder than whole numbers can hold.
    """

    frames: int
    samples: int
    sample_rate: int
    clipped: int = 0


def audio_blocks(
    file: BinaryIO, model: Vocoder, name: str | None, progress: Progress | None = None
) -> Iterator[Samples]:
    """Yield mono samples `[1, T]` of any audio at the model's rate."""
    with closing(open_audio(file, name=name)) as reader:
        total = None if reader.samples is None else reader.samples / reader.sample_rate
        resampler = Resampler(reader.sample_rate, model.sample_rate, 1)
        done = 0
        block = max(1, round(_BLOCK_SECONDS * reader.sample_rate))
        while (samples := reader.read(block)).shape[1]:
            done += samples.shape[1]
            yield resampler.push(mix_channels(samples, 1))
            if progress is not None:
                progress(done / reader.sample_rate, total)
        yield resampler.finish()


def mels_of_audio(
    file: BinaryIO, model: Vocoder, name: str | None, progress: Progress | None = None
) -> Iterator[Mels]:
    """Yield the mels `[bands, n]` of any audio, in constant memory.

    Raises:
        NcodecError: It is no audio, is not finite, or is too short for a frame.
    """
    model.check_makes_mels()
    state, any_samples, frames = model.front_end.initial_state(1), False, 0
    with torch.inference_mode():
        for samples in audio_blocks(file, model, name, progress):
            any_samples = any_samples or samples.shape[1] > 0
            block = torch.from_numpy(np.ascontiguousarray(samples))[None]
            if not bool(block.isfinite().all()):
                raise BadFileError(f"{name or 'the source'}: has samples that are not finite")
            mel, state = model.front_end.step(block, state)
            frames += mel.shape[2]
            yield mel[0].numpy()
        last = model.front_end.flush(state) if any_samples else None
        if last is not None:
            frames += last.shape[2]
            yield last[0].numpy()
        if frames == 0:
            raise BadFileError(f"{name or 'the source'}: holds less than a frame of sound")


def write_mel(
    source: BinaryIO,
    target: BinaryIO,
    model: Vocoder,
    *,
    name: str | None = None,
    frames_first: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write the mels of audio as `.npy`, float32 `[bands, F]`, or `[F, bands]`; return F.

    Frames lie one after another in either, `[bands, F]` in Fortran's order: memory stays constant.

    Raises:
        NcodecError: it is no audio, or too short for a frame.
    """
    mels = mels_of_audio(source, model, name, progress)
    bands = None if frames_first else model.bands, model.bands if frames_first else None
    # A pipe has no way back to the header, nor has a file that a shell appends to.
    with ExitStack() as opened:
        back = isinstance(target, IOBase) and target.seekable()
        file = target if back else cast(BinaryIO, opened.enter_context(TemporaryFile()))
        frames = _write_frames(file, mels, bands)
        if file is not target:
            file.seek(0)
            shutil.copyfileobj(file, target)
    return frames


def _write_frames(
    file: BinaryIO, mels: Iterator[Mels], bands: tuple[int | None, int | None]
) -> int:
    """Write an array of a shape in which None is the number of frames; return that."""

    def write_header(frames: int) -> None:
        shape = tuple(frames if size is None else size for size in bands)
        header = {"shape": shape, "fortran_order": bands[1] is None, "descr": "<f4"}
        np.lib.format.write_array_header_1_0(file, header)

    start, frames = file.tell(), 0
    write_header(0)
    body = file.tell()
    for mel in mels:
        file.write(np.ascontiguousarray(mel.T, "<f4").data)
        frames += mel.shape[1]
    file.seek(start)
    write_header(frames)
    assert file.tell() == body, "NumPy leaves room for any number in the last place"
    file.seek(0, os.SEEK_END)
    return frames


class Bands(Protocol):
    """What arrays of mels are checked against: a vocoder, or what stands for one."""

    name: str
    bands: int


def read_mels(
    file: BinaryIO, suffix: str, model: Vocoder, *, frames_first: bool = False
) -> tuple[Iterator[Mels], int]:
    """Return blocks `[bands, n]` of the mels in a file, and their number of frames.

    A pipe of `.npy` in which frames lie one after another (`[frames, bands]`, or Fortran's order)
    is not waited for: its blocks come as they arrive.

    Raises:
        NcodecError: As `open_mels` does.
    """
    second = model.sample_rate / model.hop
    if suffix == ".npy" and not _on_disk(file):
        return _piped(file, model, max(1, round(second)), frames_first)
    block = max(1, round(_BLOCK_SECONDS * second))
    start = file.tell() if file.seekable() else 0
    array = open_mels(file, suffix, model, frames_first=frames_first)

    def blocks(array: NDArray[Any]) -> Iterator[Mels]:
        for first in range(0, array.shape[1], block):
            yield np.array(array[:, first : first + block], np.float32)
            if isinstance(array, np.memmap):  # mapped anew: what has been read leaves memory
                file.seek(start)
                array = open_mels(file, suffix, model, frames_first=frames_first)

    return blocks(array), array.shape[1]


def _piped(
    file: BinaryIO, model: Bands, block: int, frames_first: bool
) -> tuple[Iterator[Mels], int]:
    """As `read_mels`, of `.npy` that cannot be read in any order."""
    with _naming(".npy"):
        shape, fortran, dtype = _npy_header(file)
        like = np.broadcast_to(np.zeros((), dtype), shape)  # its shape, and none of its memory
    bands, frames = _as_mels(like, model, frames_first).shape
    banded = frames_first == fortran  # bands lie one after another, and are complete at the end
    count = frames if banded else block

    def blocks() -> Iterator[Mels]:
        for first in range(0, frames, count):
            size = min(count, frames - first)
            with _naming(".npy"):
                values = _read(file, (size, bands), dtype)
            whole = values.reshape(bands, -1) if banded else values.reshape(-1, bands).T
            for at in range(0, size, block):
                yield whole[:, at : at + block].astype(np.float32)

    return blocks(), frames


def open_mels(
    file: BinaryIO, suffix: str, model: Bands, *, frames_first: bool = False
) -> NDArray[Any]:
    """Return the mels `[bands, F]` in a file; those in a `.npy` on a disk are read when used.

    Args:
        file: an open file; `.npy` on a disk is read piece by piece.
        suffix: `.npy`, `.npz` or `.safetensors`. The last two hold one array, or one called `mel`.
        model: whose mels they must be.
        frames_first: the array is `[F, bands]` and not `[bands, F]`.

    Raises:
        BadFileError: there is no such array, or it is damaged.
        ArgumentError: it is no mel of this model.
    """
    return _as_mels(_array(file, suffix), model, frames_first)


def _as_mels(array: NDArray[Any], model: Bands, frames_first: bool) -> NDArray[Any]:
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2:
        raise ArgumentError(f"an array of shape {list(array.shape)}: must be [bands, frames]")
    if array.dtype.kind != "f":
        raise ArgumentError(f"mels of {array.dtype}: must be floats, logarithms of magnitudes")
    if frames_first:
        array = array.T
    if array.shape[0] != model.bands:
        turned = array.shape[1] == model.bands
        hint = " (frames come first here: frames_first, --frames-first)" if turned else ""
        raise ArgumentError(
            f"{array.shape[0]} bands: {model.name} takes {model.bands}, as [bands, frames]{hint}"
        )
    if array.shape[1] == 0:
        raise ArgumentError("the mels have no frames")
    return array


@contextmanager
def _naming(suffix: str) -> Generator[None]:
    """Say of whatever is wrong with a file that it is none of mels."""
    try:
        yield
    except (ValueError, EOFError, OSError, KeyError, BadZipFile) as error:
        raise BadFileError(f"no {suffix} file of mels: {error}") from error


def _array(file: BinaryIO, suffix: str) -> NDArray[Any]:
    with _naming(suffix):
        if suffix == ".npy":
            return _npy(file)
        if suffix == ".npz":
            with np.load(file, allow_pickle=False) as archive:
                return _only({key: archive[key] for key in archive.files})
        from safetensors import SafetensorError
        from safetensors.numpy import load

        data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise LimitError(f"more than {MAX_BYTES} bytes of mels")
        try:
            return _only(load(data))
        except SafetensorError as error:
            raise ValueError(str(error)) from error


def _npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether it is in Fortran's order, and type."""
    version = np.lib.format.read_magic(file)
    reader = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = reader(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return shape, fortran, dtype


def _npy(file: BinaryIO) -> NDArray[Any]:
    """Map an array on a disk into memory; read one from elsewhere whole."""
    shape, fortran, dtype = _npy_header(file)
    order = "F" if fortran else "C"
    if not _on_disk(file):
        return _read(file, shape, dtype).reshape(shape, order=order)
    at, size = file.tell(), prod(shape) * dtype.itemsize
    if file.seek(0, os.SEEK_END) - at < size:
        raise ValueError("it ends early")
    if not size:
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, "r", at, shape, order)  # type: ignore[call-overload]


def _on_disk(file: BinaryIO) -> bool:
    try:
        return file.seekable() and file.fileno() >= 0
    except (OSError, AttributeError):  # in memory
        return False


def _read(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return as many values as an array of a shape has."""
    size = prod(shape) * dtype.itemsize
    if size > MAX_BYTES:
        raise LimitError(f"more than {MAX_BYTES} bytes of mels")
    data = file.read(size)
    if len(data) < size:
        raise ValueError("it ends early")
    return np.frombuffer(data, dtype)


def _only(arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    if "mel" in arrays:
        return arrays["mel"]
    if len(arrays) != 1:
        raise ValueError(f"{len(arrays)} arrays, none called mel")
    return next(iter(arrays.values()))


def vocode(
    mels: Iterator[Mels],
    target: BinaryIO,
    model: Vocoder,
    *,
    container: str,
    encoding: str | None = None,
    frames: int | None = None,
    progress: Progress | None = None,
) -> Vocoded:
    """Write the sound of mels `[bands, n]`, block by block, in constant memory.

    Args:
        mels: from `read_mels` or `mels_of_audio`.
        target: an open file; a pipe has its sound as soon as it is made.
        model: the vocoder.
        container: format of the audio, as `ncodec.audio.open_writer` has it.
        encoding: of its samples.
        frames: of all mels, if known.
        progress: called with seconds done, and their total.

    Raises:
        ArgumentError: mels that are not this model's.
    """
    seconds = model.hop / model.sample_rate
    total = None if frames is None else frames * seconds
    writer = open_writer(
        target,
        container=container,
        sample_rate=model.sample_rate,
        channels=1,
        encoding=encoding,
        samples=None if frames is None else frames * model.hop,
    )
    done = 0

    def counted_mels() -> Iterator[Tensor]:
        nonlocal done
        for block in mels:
            yield torch.from_numpy(block)[None]
            done += block.shape[1]
            if progress is not None:
                progress(done * seconds, total)

    try:
        with torch.inference_mode():
            for audio in model.sound_of(counted_mels()):
                writer.write(audio[0].cpu().numpy())
        writer.finish()
    except BaseException:
        writer.abort()
        raise
    return Vocoded(done, done * model.hop, model.sample_rate, writer.clipped)
