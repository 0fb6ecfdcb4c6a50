"""Sets of sound as a codec hears them: latents, log-mels, and what both say of each second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncodec.audio import mix_channels, open_audio, read_frames
from ncodec.bench.sources import kind_of
from ncodec.containers import load_any, read_content
from ncodec.datasets import CodesDataset, Entry, entries
from ncodec.datasets.reading import resample
from ncodec.dsp.mel import mel_filters
from ncodec.dsp.stft import power_spectra
from ncodec.errors import ArgumentError
from ncodec.metrics.frechet import Rows
from ncodec.models.base import CompressionModel

MOST_SECONDS = 120.0
"""Of each file, so that a long one does not outweigh the others."""
METADATA = "metadata.json"
"""What tells a folder of `ncodec tokenize` from a folder of sound."""
LAGS = (1, 4, 16, 75)
"""Frames over which the order of latents is looked at, in windows of 3 s."""
_MEL_BANDS, _MEL_FLOOR = 64, 1e-8


@dataclass(frozen=True)
class Piece:
    """A recording, or what was generated.

    Attributes:
        name: Of the file.
        kind: As a manifest or the names of file and folders say; "" if none does.
        group: Of a manifest's `speaker_or_piece`, else the name: what halves do not share.
        codes: int64 `[K, F]`.
        words: All that a manifest says of it.
    """

    name: str
    kind: str
    group: str
    codes: Tensor
    words: str = ""


def read_pieces(
    sources: Sequence[Path], codec: CompressionModel, codebooks: int
) -> dict[str, list[Piece]]:
    """Return the codes of all sound in files, folders and manifests, by kind.

    `.ecdc` files of the same codec and folders of `ncodec tokenize` are taken as they are; other
    sound is coded, in mono.

    Raises:
        ArgumentError: There is none, or codes are of another codec or fewer codebooks.
        BadFileError: A file cannot be read.
    """
    found: dict[str, list[Piece]] = {}
    for source in sources:
        if (source / METADATA).is_file():
            for piece in _tokenized(source, codec, codebooks):
                found.setdefault(piece.kind, []).append(piece)
            continue
        for entry in _entries(source):
            codes = _codes_of(entry.path, codec, codebooks)
            told = kind_of(entry.path)
            kind = entry.kind or ("" if told == "other" else told)
            group = entry.labels.get("speaker_or_piece") or entry.path.name
            words = " ".join([kind, *entry.labels.values()])
            found.setdefault(kind, []).append(Piece(entry.path.name, kind, group, codes, words))
    if not found:
        raise ArgumentError(f"no sound in {', '.join(map(str, sources))}")
    return found


def _tokenized(folder: Path, codec: CompressionModel, codebooks: int) -> Iterator[Piece]:
    codes = CodesDataset(folder, shuffle=False)
    about = codes.about
    if about["fingerprint"] != codec.fingerprint.hex() or len(about["codebook_sizes"]) < codebooks:
        raise ArgumentError(
            f"{folder}: {len(about['codebook_sizes'])} codebooks of {about['model']}; "
            f"{codebooks} of {codec.name} are compared"
        )
    for row in codes:
        tags = row["tags"] if isinstance(row["tags"], dict) else {}
        words = " ".join(str(value) for value in tags.values())
        group = str(tags.get("speaker_or_piece") or row["id"])
        yield Piece(
            str(row["id"]), str(tags.get("kind") or ""), group, row["codes"][:codebooks], words
        )


def _entries(source: Path) -> list[Entry]:
    found = entries(source)
    if source.is_dir():
        found += [Entry(path) for path in sorted(source.rglob("*.ecdc"))]
    return found


@torch.inference_mode()
def _codes_of(path: Path, codec: CompressionModel, codebooks: int) -> Tensor:
    most = round(MOST_SECONDS * codec.frame_rate)
    if path.suffix == ".ecdc":
        return _coded(path, codec, codebooks)[:, :most]
    with closing(open_audio(path, with_tags=False)) as reader:
        rate = reader.sample_rate
        samples = read_frames(reader, round(MOST_SECONDS * rate))
    audio = resample(mix_channels(samples, 1), rate, codec.sample_rate)
    codes, _ = codec.encode(torch.from_numpy(np.ascontiguousarray(audio))[None])
    return codes[0, :codebooks].clone()


def _coded(path: Path, codec: CompressionModel, codebooks: int) -> Tensor:
    with path.open("rb") as file:
        content = read_content(file, None, load_any)
        header = content.header
        if header.model_hash != codec.fingerprint or len(header.codebook_sizes) < codebooks:
            raise ArgumentError(
                f"{path}: {len(header.codebook_sizes)} codebooks of {header.model}; "
                f"{codebooks} of {codec.name} are compared"
            )
        parts = [packet.codes[:codebooks, 0] for packet in content.packets]
    if not parts:
        raise ArgumentError(f"{path}: holds no sound")
    return torch.from_numpy(np.concatenate(parts, axis=1).astype(np.int64))


@dataclass(frozen=True)
class Heard:
    """What a set sounds like, second by second.

    Attributes:
        latent: Mean and deviation of the codec's latents in each second, `[n, 2 D]`.
        order: Deviation of their change over `LAGS`, in 3 s beginning at each second, `[m, 4 D]`.
        mel: Mean and deviation of log-mels in dB in each second, `[n, 2 bands]`.
    """

    latent: Rows
    order: Rows
    mel: Rows


@torch.inference_mode()
def hear(piece: Piece, codec: CompressionModel) -> Heard:
    """Return the features of a piece. All go through the codec, so that it is not what differs."""
    rate = round(codec.frame_rate)
    z = codec.decode_latent(piece.codes[None])[0].double().numpy()
    mel = _log_mel(codec.decode(piece.codes[None])[0, 0].double().numpy(), codec)
    starts = range(0, z.shape[1] - rate + 1, rate)
    longer = [z[:, at : at + 3 * rate] for at in starts if at + 3 * rate <= z.shape[1]]
    changes = [[(x[:, lag:] - x[:, :-lag]).std(1) for lag in LAGS] for x in longer]
    return Heard(
        _rows([_mean_and_spread(z[:, at : at + rate]) for at in starts], 2 * len(z)),
        _rows([np.concatenate(change) for change in changes], len(LAGS) * len(z)),
        _rows([_mean_and_spread(mel[:, at : at + rate]) for at in starts], 2 * len(mel)),
    )


def together(parts: Sequence[Heard]) -> Heard:
    """Join the features of several pieces."""
    return Heard(
        np.concatenate([part.latent for part in parts]),
        np.concatenate([part.order for part in parts]),
        np.concatenate([part.mel for part in parts]),
    )


def _rows(found: Sequence[Rows], width: int) -> Rows:
    return np.array(found).reshape(-1, width)


def _mean_and_spread(x: NDArray[np.float64]) -> Rows:
    return np.concatenate([x.mean(1), x.std(1)])


def _log_mel(samples: NDArray[np.float64], codec: CompressionModel) -> Rows:
    """Return log-mels in dB, a column a frame of the codec."""
    bands = mel_filters(codec.sample_rate, 1024, _MEL_BANDS, equal_area=False, widen=True)
    power = power_spectra(samples[None], 1024, codec.hop, 1024)[0]
    return 10 * np.log10(np.maximum(bands @ power, _MEL_FLOOR))
