"""How a source is laid out on a model: streams, codebooks, packets."""

from __future__ import annotations

import warnings

import numpy as np

from ncodec.arguments import check_type, whole
from ncodec.audio import Samples, check_format
from ncodec.checkpoints.tables import tables_for
from ncodec.codec.options import EFFORTS, PREDICTED_FROM, EncodeOptions
from ncodec.errors import ArgumentError, ModelMismatchError
from ncodec.models.base import CompressionModel
from ncodec.quantize import ResidualVQ
from ncodec.quantize.bits import CodeBits, Search
from ncodec_formats import Header, tag_pairs
from ncodec_formats.bitrate import check_codebooks, codebooks_within, kbps

PACKET_SECONDS = 1.0
"""Length of a file's packets: container overhead stays under 3 % at 6 kbps."""
STREAM_KBPS = 6.0
"""Bitrate of each stream where none is asked for."""


def make_header(
    model: CompressionModel, sample_rate: int, channels: int, options: EncodeOptions
) -> Header:
    """Plan the coding of a source of `sample_rate` Hz and so many channels.

    Raises:
        ArgumentError: a value out of range.
    """
    check_type("model", model, CompressionModel)
    sample_rate, channels = whole("sample rate", sample_rate), whole("channels", channels)
    check_format(sample_rate, channels)
    streams = count_streams(model, channels)
    packet_frames, block_frames = _sizes(model, options)
    sizes = tuple(model.codebook_sizes[: choose_codebooks(model, streams, options)])
    kinds, tables = (), None
    if options.entropy != "none":
        kinds, tables = predicted_kinds(model.fingerprint, packet_frames, sizes)
    preroll_frames = model.preroll_frames
    if model.segment is not None:
        preroll_frames = max(preroll_frames, packet_frames)  # the end of one lies over the next
    return Header(
        model=model.name,
        model_hash=model.fingerprint,
        sample_rate=model.sample_rate,
        hop=model.hop,
        streams=streams,
        codebook_sizes=sizes,
        kinds=kinds,
        tables=tables,
        packet_frames=packet_frames,
        preroll_frames=preroll_frames,
        postroll_frames=model.postroll_frames,
        block_frames=block_frames,
        source_rate=sample_rate,
        source_channels=channels,
        source_samples=None,
        segment=model.segment,
        tags=tag_pairs(options.tags),
        gain_db=float(options.gain_db),
        channel_mask=options.channel_mask,
    )


def predicted_kinds(
    fingerprint: bytes, packet_frames: int, sizes: tuple[int, ...]
) -> tuple[tuple[int, ...], bytes | None]:
    """Return the kinds of layers and the hash of the tables that predict them, if any shall be.

    Args:
        fingerprint: Of the model whose codes they are.
        packet_frames: Frames of a packet; short packets gain nothing.
        sizes: Of the codebooks.
    """
    tables = tables_for(fingerprint) if packet_frames >= PREDICTED_FROM else None
    if tables is None:
        return (), None
    predicted = min(len(sizes), len(tables.sizes))
    if tables.sizes[:predicted] != sizes[:predicted]:
        return (), None
    return (1,) * predicted + (0,) * (len(sizes) - predicted), tables.hash


def choose_search(model: CompressionModel, header: Header, effort: str | None) -> Search | None:
    """Return how to search for codes; bits are weighed where codes are predicted.

    None is the model's own way.
    """
    if effort is None:
        return None
    width, price, _ = EFFORTS[effort]
    tables = None if header.tables is None else tables_for(model.fingerprint)
    if tables is None or not price or not isinstance(model.quantizer, ResidualVQ):
        return Search(width)
    return Search(width, price, CodeBits.of(tables, model.device))


def _sizes(model: CompressionModel, options: EncodeOptions) -> tuple[int, int]:
    """Return the frames of a packet and of a block; those of a segment are the model's to say."""
    packet_frames, block_frames = options.packet_frames, options.block_frames
    if model.segment_frames is not None:
        for what, frames in (("packet_frames", packet_frames), ("block_frames", block_frames)):
            if frames not in (None, model.segment_frames):
                raise ArgumentError(
                    f"{what} {frames}: {model.name} codes segments of {model.segment_frames} frames"
                )
        return model.segment_frames, model.segment_frames
    if packet_frames is None:
        packet_frames = max(1, round(PACKET_SECONDS * model.sample_rate / model.hop))
    return packet_frames, packet_frames if block_frames is None else block_frames


def check_model(model: CompressionModel, header: Header) -> None:
    """Raise ModelMismatchError unless `header` was made with just this model.

    Raises:
        ArgumentError: one of them is something else.
    """
    check_type("model", model, CompressionModel)
    check_type("header", header, Header)
    if model.fingerprint != header.model_hash:
        theirs, ours = header.model_hash.hex()[:12], model.fingerprint.hex()[:12]
        raise ModelMismatchError(
            f"made with model {header.model} ({theirs}); {model.name} here is {ours}"
        )


def count_streams(model: CompressionModel, channels: int) -> int:
    """Return how many streams of the model's channels hold `channels`."""
    return -(-channels // model.channels)


def choose_codebooks(model: CompressionModel, streams: int, options: EncodeOptions) -> int:
    """Return the number asked for, or the largest whose bitrate is at most what was asked for."""
    rate, sizes = model.sample_rate / model.hop, model.codebook_sizes
    if options.codebooks is not None:
        return check_codebooks(whole("codebooks", options.codebooks), len(sizes), model.name)
    bandwidth = options.kbps
    if bandwidth is None and options.file_rate is not None:
        return len(sizes)
    if bandwidth is None:
        bandwidth = max(STREAM_KBPS * streams, kbps(sizes[:1], streams, rate))
    what = "1 stream" if streams == 1 else f"{streams} streams"
    of = f" for {what} of {model.name}"
    most = kbps(sizes, streams, rate)
    if options.kbps is not None and bandwidth > most + 1e-9:
        warnings.warn(f"bandwidth {bandwidth:g} kbps: {most:g} is the most{of}", stacklevel=3)
    return codebooks_within(bandwidth, sizes, streams, rate, of=of)


def to_streams(x: Samples, model_channels: int) -> Samples:
    """Group channels `[C, T]` into streams `[S, Cm, T]`; the last channel fills the last group."""
    missing = -x.shape[0] % model_channels
    if missing:
        x = np.concatenate([x, np.repeat(x[-1:], missing, axis=0)])
    return x.reshape(x.shape[0] // model_channels, model_channels, x.shape[1])


def from_streams(y: Samples, channels: int) -> Samples:
    """Undo `to_streams`: `[S, Cm, T]` to `[C, T]`; copies of the last channel are averaged."""
    flat = y.reshape(y.shape[0] * y.shape[1], y.shape[2])
    if flat.shape[0] == channels:
        return flat
    last = flat[channels - 1 :].mean(axis=0, keepdims=True, dtype=np.float32)
    return np.concatenate([flat[: channels - 1], last])
