"""Files of mels: arrays in `.npy`, `.npz` and `.safetensors`, and the sound that they become."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

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
    """Yield the mels `[bands, n]` of any audio, in constant memory."""
    state, any_samples = model.front_end.initial_state(1), False
    with torch.inference_mode():
        for samples in audio_blocks(file, model, name, progress):
            any_samples = any_samples or samples.shape[1] > 0
            block = torch.from_numpy(np.ascontiguousarray(samples))[None]
            mel, state = model.front_end.step(block, state)
            yield mel[0].numpy()
        if any_samples:
            yield model.front_end.flush(state)[0].numpy()


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

    Raises:
        NcodecError: it is no audio, or too short for a frame.
    """
    parts = list(mels_of_audio(source, model, name, progress))
    mel = np.concatenate(parts, axis=1) if parts else np.zeros((model.bands, 0), np.float32)
    if mel.shape[1] == 0:
        raise BadFileError(f"{name or 'the source'}: holds less than a frame of sound")
    np.save(target, np.ascontiguousarray(mel.T if frames_first else mel), allow_pickle=False)
    return mel.shape[1]


class Bands(Protocol):
    """What arrays of mels are checked against: a vocoder, or what stands for one."""

    name: str
    bands: int


def read_mels(
    file: BinaryIO, suffix: str, model: Vocoder, *, frames_first: bool = False
) -> tuple[Iterator[Mels], int]:
    """Return blocks `[bands, n]` of the mels in a file, and their number of frames.

    Raises:
        NcodecError: As `open_mels` does.
    """
    array = open_mels(file, suffix, model, frames_first=frames_first)
    block = max(1, round(_BLOCK_SECONDS * model.sample_rate / model.hop))

    def blocks() -> Iterator[Mels]:
        for first in range(0, array.shape[1], block):
            yield np.array(array[:, first : first + block], np.float32)

    return blocks(), array.shape[1]


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
    array = _array(file, suffix)
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


def _array(file: BinaryIO, suffix: str) -> NDArray[Any]:
    try:
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
    except (ValueError, EOFError, OSError, KeyError) as error:
        raise BadFileError(f"no {suffix} file of mels: {error}") from error


def _npy(file: BinaryIO) -> NDArray[Any]:
    """Map an array on a disk into memory; read one from elsewhere whole."""
    version = np.lib.format.read_magic(file)
    reader = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = reader(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    order = "F" if fortran else "C"
    if file.seekable() and hasattr(file, "fileno"):
        at = file.tell()
        if file.seek(0, os.SEEK_END) - at < size:
            raise ValueError("it ends early")
        if size:
            return np.memmap(file, dtype, "r", at, shape, order)  # type: ignore[call-overload]
    if size > MAX_BYTES:
        raise LimitError(f"more than {MAX_BYTES} bytes of mels")
    data = file.read(size)
    if len(data) < size:
        raise ValueError("it ends early")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


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
