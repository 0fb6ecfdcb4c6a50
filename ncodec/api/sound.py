"""Coded files as arrays, with the feel of soundfile: `read`, `write` and `open`."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncodec.api.operations import describe
from ncodec.arguments import check_number
from ncodec.audio import MAX_CHANNELS, ArrayReader, Samples
from ncodec.checkpoints.loading import ModelLike
from ncodec.codec import Compressed, FileDecoder, compress
from ncodec.codec.options import DecodeOptions
from ncodec.codec.pipeline import BlockThreads
from ncodec.errors import ArgumentError, BadFileError
from ncodec.files import PathOrFile, ReadableFile, name_of, naming_file, open_readable, reading
from ncodec_formats import Header, Tags

Audio = NDArray[np.float32]
"""Audio as soundfile has it: `[T]` if mono, else `[T, C]`; full scale 1.0."""


def read(
    file: ReadableFile,
    *,
    start: float | None = None,
    end: float | None = None,
    bandwidth: float | str | None = None,
    codebooks: int | None = None,
    sample_rate: int | None = None,
    always_2d: bool = False,
    model: ModelLike = None,
    device: str = "cpu",
    precision: str = "float32",
    keep_going: bool = False,
) -> tuple[Audio, int]:
    """Decode a coded file, or a part of it, to an array.

    >>> import ncodec, numpy as np
    >>> _ = ncodec.write("rest.ecdc", np.zeros(24000, np.float32), 24000)
    >>> audio, rate = ncodec.read("rest.ecdc", start=0.5)
    >>> audio.shape, audio.dtype, rate
    ((12000,), dtype('float32'), 24000)

    Args:
        file: path, binary file (a pipe too) or the bytes of a `.ecdc` or `.dac` file.
        start: seconds to skip.
        end: seconds at which to stop.
        bandwidth: use only the codebooks that fit in so many kbps.
        codebooks: use only the first ones.
        sample_rate: of the array in Hz, instead of the source's.
        always_2d: give `[T, 1]` for mono too.
        model: instead of the one that the file names: a model, its name, or its file's path.
        device: where a model that is loaded runs: "cpu", "cuda", "mps" or "auto".
        precision: what it computes in, "float32" or "bf16".
        keep_going: bridge what is damaged instead of raising.

    Returns:
        The audio, float32 `[T]` if mono and `[T, C]` otherwise, full scale 1.0; and its rate in Hz.

    Raises:
        NcodecError: the file is damaged, its model is not here, an argument is out of range.
        OSError: the file cannot be read.
    """
    options = DecodeOptions(
        start=start,
        end=end,
        bandwidth=bandwidth,
        codebooks=codebooks,
        sample_rate=sample_rate,
        model=model,
        device=device,
        precision=precision,
        keep_going=keep_going,
    )
    with reading(file) as source, BlockThreads() as threads:
        decoder = FileDecoder.of_options(source, options, threads if source.seekable() else None)
        nothing = np.zeros((decoder.channels, 0), np.float32)
        audio = np.concatenate([nothing, *decoder], axis=1)
    return laid_out(audio, always_2d=always_2d), decoder.sample_rate


def laid_out(samples: Samples, *, always_2d: bool = False) -> Audio:
    """Return samples `[C, T]` as `[T, C]`, or as `[T]` if mono."""
    return np.ascontiguousarray(samples[0] if len(samples) == 1 and not always_2d else samples.T)


def write(
    file: PathOrFile,
    audio: ArrayLike | torch.Tensor,
    rate: int,
    *,
    bandwidth: float | str | None = None,
    codebooks: int | None = None,
    file_rate: float | str | None = None,
    tags: Tags = (),
    model: ModelLike = None,
    channels_first: bool | None = None,
    packet_frames: int | None = None,
    entropy: str = "auto",
    effort: str | None = None,
    gain_db: float = 0.0,
    lift: bool = True,
    device: str = "cpu",
    precision: str = "float32",
    force: bool = False,
) -> Compressed:
    """Code an array to a file.

    The layout goes by the type: arrays and lists are `[T]` or `[T, C]`, as of soundfile; torch
    tensors are `[T]`, `[C, T]` or `[1, C, T]`, as of torchaudio and of `model.decode`.
    `channels_first` says otherwise.

    >>> import ncodec, torch
    >>> stereo = torch.zeros(2, 24000)
    >>> done = ncodec.write("rest.ecdc", stereo, 24000, bandwidth=6, tags={"title": "Rest"})
    >>> done.codebooks, done.kbps, done.seconds
    (4, 6.0, 1.0)

    Args:
        file: path, which is then whole or absent, or a binary file.
        audio: floats at full scale 1.0, or integers (int16, int32, uint8) at theirs.
        rate: samples a second of each channel, in Hz.
        bandwidth: of the whole file in kbps, 6 or "6k"; the most codebooks that fit are used.
        codebooks: their number, instead of `bandwidth`.
        file_rate: kbps that the file shall average, all of its bytes counted.
        tags: a mapping, or pairs of key and value.
        model: a model, its name, or its file's path; the embedded one by default.
        channels_first: whether `audio` is `[C, T]` and not `[T, C]`.
        packet_frames: frames of codes a packet; about a second by default.
        entropy: "auto" predicts codes where that makes the file smaller; "none" packs them.
        effort: how well to search for codes: "fast", "good", "better", "best" or "extreme".
        gain_db: to be applied when decoding.
        lift: code quiet sound louder, and let the file's gain give it its level back.
        device: where a model that is loaded runs: "cpu", "cuda", "mps" or "auto".
        precision: what it computes in, "float32" or "bf16".
        force: overwrite.

    Raises:
        ArgumentError: an argument is out of range, or a sample is not finite.
        OutputExistsError: the file exists and `force` is not set.
        OSError: the file cannot be written.
    """
    return compress(
        ArrayReader(channels_first_of(audio, channels_first), rate),
        file,
        model=model,
        bandwidth=bandwidth,
        codebooks=codebooks,
        file_rate=file_rate,
        packet_frames=packet_frames,
        entropy=entropy,
        effort=effort,
        tags=tags,
        gain_db=gain_db,
        lift=lift,
        device=device,
        precision=precision,
        force=force,
        name="audio",
    )


def channels_first_of(audio: Any, channels_first: bool | None) -> NDArray[Any]:
    """Return audio of any layout as `[C, T]`."""
    is_tensor = isinstance(audio, torch.Tensor)
    if is_tensor:
        tensor = audio.detach().cpu()
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        if array.ndim == 3 and len(array) == 1 and channels_first is not False:
            array = array[0]
    else:
        try:
            array = np.asarray(audio)
        except ValueError:
            raise ArgumentError("audio: rows of unlike lengths") from None
    first = is_tensor if channels_first is None else channels_first
    layout = "[C, T]" if first else "[T, C]"
    if array.ndim == 1:
        return array[None]
    if array.ndim != 2:
        raise ArgumentError(f"audio of shape {list(array.shape)}: must be [T] or {layout}")
    x = array if first else array.T
    if not 1 <= len(x) <= MAX_CHANNELS:
        kind = "a tensor" if is_tensor else "an array"
        raise ArgumentError(
            f"audio of shape {list(array.shape)}: {kind} is taken as {layout}, which makes "
            f"{len(x)} channels of 1 to {MAX_CHANNELS}; channels_first={not first} turns it"
        )
    return x


def open(  # noqa: A001
    file: ReadableFile,
    *,
    bandwidth: float | str | None = None,
    codebooks: int | None = None,
    sample_rate: int | None = None,
    model: ModelLike = None,
    device: str = "cpu",
    precision: str = "float32",
    keep_going: bool = False,
) -> CodedFile:
    """Open a coded file for reading piece by piece; see `CodedFile`, and `read` for the arguments.

    >>> import ncodec, numpy as np
    >>> _ = ncodec.write("rest.ecdc", np.zeros((48000, 2), np.float32), 48000)
    >>> with ncodec.open("rest.ecdc") as coded:
    ...     print(coded.rate, coded.channels, coded.frames, coded.seconds)
    ...     _ = coded.seek(0.25)
    ...     print(coded.read(0.5).shape, coded.tell())
    ...     print([block.shape for block in coded.blocks(0.2)])
    48000 2 48000 1.0
    (24000, 2) 0.75
    [(9600, 2), (2400, 2)]
    """
    options = DecodeOptions(
        bandwidth=bandwidth,
        codebooks=codebooks,
        sample_rate=sample_rate,
        model=model,
        device=device,
        precision=precision,
        keep_going=keep_going,
    )
    return CodedFile(file, options)


class CodedFile:
    """An open coded file that gives its audio piece by piece, in constant memory.

    Attributes:
        rate: Of the audio, in Hz.
        channels: Of the audio.
        header: Of the file, the first one's if recordings follow each other in it.
        tags: Pairs of key and value.
    """

    def __init__(self, file: ReadableFile, options: DecodeOptions) -> None:
        """Open; times count from the beginning of the file."""
        self._name = name_of(file)
        self._file = open_readable(file)
        self._own = self._file is not file
        try:
            with naming_file(self._name):
                self._frames = _frames(self._file)
                self._decoder = FileDecoder.of_options(self._file, options)
        except BaseException:
            self.close()
            raise
        self.rate, self.channels = self._decoder.sample_rate, self._decoder.channels
        self.header: Header = self._decoder.header
        self.tags = self.header.tags
        self._blocks = iter(self._decoder)
        self._rest: Samples = np.zeros((self.channels, 0), np.float32)
        self._at = 0

    @property
    def frames(self) -> int | None:
        """Length in samples of each channel, as soundfile calls it; None where nothing says it."""
        if self._frames is not None:
            return -(-self._frames * self.rate // self.header.source_rate)
        seconds = self._decoder.seconds
        return None if seconds is None else round(seconds * self.rate)

    @property
    def seconds(self) -> float | None:
        """Length in seconds; None where nothing says it."""
        frames = self.frames
        return None if frames is None else frames / self.rate

    def tell(self) -> float:
        """Return the second from which `read` goes on."""
        return self._at / self.rate

    def seek(self, seconds: float) -> float:
        """Go to a place; return it, to the sample.

        Raises:
            ArgumentError: it lies outside, or the file is a pipe.
        """
        length = self.seconds
        if not 0 <= seconds <= (seconds if length is None else length):
            raise ArgumentError(f"second {seconds:g}: must be 0 to {length or seconds:g}")
        at = round(seconds * self.rate)
        with naming_file(self._name):
            self._decoder.seek(at / self.rate)
        self._at = at
        self._blocks = iter(self._decoder)
        self._rest = self._rest[:, :0]
        return self.tell()

    def read(self, seconds: float | None = None, *, always_2d: bool = False) -> Audio:
        """Return the next seconds, or all that is left: `[T]` if mono, else `[T, C]`.

        What is returned is shorter at the end, and empty behind it.
        """
        if getattr(self._file, "closed", False):
            raise ArgumentError(f"{self._name}: the file is closed")
        if seconds is not None and not check_number("seconds", seconds) >= 0:
            raise ArgumentError(f"{seconds} s: must be at least 0")
        wanted = None if seconds is None else round(seconds * self.rate)
        parts, held = [self._rest], self._rest.shape[1]
        with naming_file(self._name):
            while wanted is None or held < wanted:
                block = next(self._blocks, None)
                if block is None:
                    break
                parts.append(block)
                held += block.shape[1]
        joined = np.concatenate(parts, axis=1)
        given, self._rest = np.split(joined, [held if wanted is None else wanted], axis=1)
        self._at += given.shape[1]
        return laid_out(given, always_2d=always_2d)

    def blocks(self, seconds: float = 1.0, *, always_2d: bool = False) -> Iterator[Audio]:
        """Yield the rest in pieces of so many seconds, fewer in the last.

        Raises:
            ArgumentError: a piece would have no sample.
        """
        if not check_number("seconds", seconds) * self.rate >= 1:
            raise ArgumentError(f"blocks of {seconds} s: must be at least a sample")
        while len(block := self.read(seconds, always_2d=always_2d)):
            yield block

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._own:
            self._file.close()

    def __enter__(self) -> CodedFile:
        """Return the file itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Return what the file holds, on one line."""
        return f"CodedFile(rate={self.rate}, channels={self.channels}, seconds={self.seconds})"


def _frames(file: BinaryIO) -> int | None:
    """Return the length in samples of what stands in a file, if it can be searched."""
    if not file.seekable() or file.tell():
        return None
    try:
        return describe(file).frames
    except BadFileError:
        return None  # codes as plain arrays, of which `info` knows nothing; or no file of codes
    finally:
        file.seek(0)
