"""Sound as codes and back, in one line each: for notebooks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ncodec.api.sound import Audio, channels_first_of, laid_out
from ncodec.arguments import check_whole
from ncodec.audio import mix_channels
from ncodec.checkpoints.loading import ModelLike, find_model
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.errors import ArgumentError
from ncodec.models.checks import as_samples
from ncodec_formats import Header, Packet


def tokenize(
    audio: ArrayLike | torch.Tensor,
    rate: int,
    *,
    bandwidth: float | str | None = None,
    codebooks: int | None = None,
    model: ModelLike = None,
    channels_first: bool | None = None,
    device: str = "cpu",
) -> tuple[NDArray[np.uint16], Header]:
    """Return the codes of an array, uint16 `[K, F]`, and the header that takes them back.

    Channels are mixed down, or mono is copied, to what one stream of the model has.

    >>> import ncodec, numpy as np
    >>> codes, header = ncodec.tokenize(np.zeros(24000, np.float32), 24000)
    >>> codes.shape, codes.dtype, header.model
    ((8, 75), dtype('uint16'), 'ncodec_24khz')
    >>> audio, rate = ncodec.detokenize(codes[:4], header)
    >>> audio.shape, rate
    ((24000,), 24000)

    Args:
        audio: As `write` takes it.
        rate: Samples a second of each channel, in Hz.
        bandwidth: In kbps, 6 or "6k"; the most codebooks that fit are used.
        codebooks: Their number, instead of `bandwidth`.
        model: A model, its name, or its file's path; the embedded one by default.
        channels_first: Whether `audio` is `[C, T]` and not `[T, C]`.
        device: Where a model that is loaded runs.

    Raises:
        ArgumentError: An argument is out of range, a sample is not finite, or the model codes
            segments, each with a scale.
    """
    codec = find_model(model, None, device)
    if codec.segment is not None:
        raise ArgumentError(f"{codec.name} codes segments with a scale each: write a file instead")
    x = as_samples(channels_first_of(audio, channels_first)).detach().cpu().numpy()
    samples = mix_channels(x, codec.channels)
    encoder = StreamEncoder(
        codec,
        sample_rate=rate,
        channels=codec.channels,
        bandwidth=bandwidth,
        codebooks=codebooks,
        entropy="none",  # arrays have no bytes of layers
        name="audio",
    )
    packets = [*encoder.push(samples), *encoder.finish()]
    nothing = np.zeros((len(encoder.header.codebook_sizes), 0), np.uint16)
    codes = np.concatenate([nothing, *(packet.codes[:, 0] for packet in packets)], axis=1)
    return codes, replace(encoder.header, source_samples=encoder.samples)


def detokenize(
    codes: ArrayLike | torch.Tensor,
    header: Header,
    *,
    model: ModelLike = None,
    device: str = "cpu",
) -> tuple[Audio, int]:
    """Return the sound of codes `[K, F]` and its rate in Hz, laid out as `read` does.

    The first K codebooks are enough, and so are fewer frames than the header's. See `tokenize`.

    Raises:
        ArgumentError: Codes of another shape, type or range.
        ModelMismatchError: `model` is not the one that made them.
    """
    array = codes.detach().cpu().numpy() if isinstance(codes, torch.Tensor) else np.asarray(codes)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise ArgumentError(f"codes {array.dtype} {list(array.shape)}: must be integers [K, F]")
    books = check_whole("codebooks", array.shape[0], 1, len(header.codebook_sizes))
    entries = np.asarray(header.codebook_sizes[:books])[:, None]
    if ((array < 0) | (array >= entries)).any():
        raise ArgumentError(f"codes outside 0 to {int(entries.max()) - 1}")
    sizes = header.codebook_sizes[:books]
    header = replace(header, codebook_sizes=sizes, kinds=(), tables=None)
    codec = find_model(model, header.model, device, fingerprint=header.model_hash)
    most = array.shape[1] * header.hop * header.source_rate // header.sample_rate
    samples = most if header.source_samples is None else min(header.source_samples, most)
    decoder = StreamDecoder(codec, header)
    parts = [np.zeros((header.source_channels, 0), np.float32)]
    size = header.packet_frames
    for number, begin in enumerate(range(0, array.shape[1], size)):
        part = np.ascontiguousarray(array[:, None, begin : begin + size].astype(np.uint16))
        parts.append(decoder.push(Packet(number, begin, part)))
    parts.append(decoder.finish(samples))
    return laid_out(np.concatenate(parts, axis=1)), header.source_rate
