"""Checking a set of codes: that all is there, and a sample by coding it again."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ncodec.audio import Samples, mix_channels, read_frames
from ncodec.checkpoints.loading import ModelLike
from ncodec.datasets.formats import Coded
from ncodec.datasets.reading import resample
from ncodec.datasets.recordings import Recording
from ncodec.datasets.run import Run, summarize
from ncodec.datasets.tokenizer import Tokenizer
from ncodec.errors import ArgumentError, BadFileError, NcodecError
from ncodec.metrics import log_mel_distance

_SECONDS = 10.0  # of a recording, at most, are compared by ear's measure


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        rows: Recordings in the shards.
        faults: What is wrong, a line each.
        sampled: Recordings that were coded again.
        frames: Frames of theirs.
        differing: Frames of those that differ: none on the machine that made them, a few where
            another processor rounds otherwise.
        mel: Median over them of `log_mel_distance` from the recordings to the decoded sound.
    """

    rows: int
    faults: tuple[str, ...]
    sampled: int
    frames: int
    differing: int
    mel: float


def check(run: Run, *, model: ModelLike = None, sample: int = 20, device: str = "cpu") -> Checked:
    """Read all shards, and code and decode a sample of them.

    Args:
        run: What was written.
        model: The one that made the codes; found by its name unless given.
        sample: How many recordings are coded again, spread evenly over all.
        device: Where.

    Raises:
        ArgumentError: The run has not come to its end, or the model is another one.
        OSError: A file cannot be read.
    """
    if run.pending() or not (run.folder / "shards.json").is_file():
        there, of = run.shards - len(run.pending()), run.shards
        raise ArgumentError(f"{run.folder}: {there} of {of} shards are there; start again to go on")
    faults = list[str]()
    total = sum(summary["rows"] for summary in run.summaries())
    wanted = set(np.linspace(0, total - 1, min(sample, total)).round().astype(int).tolist())
    chosen: list[tuple[Recording, Coded]] = []
    at = 0
    for summary in run.summaries():
        number = summary["shard"]
        try:
            rows = run.read(number)
        except BadFileError as error:
            faults.append(str(error))
            at += summary["rows"]
            continue
        if summarize(rows)["sha256"] != summary["sha256"]:
            faults.append(f"shard {number}: its codes are not those that were written")
        sources = {recording.id: recording for recording in run.slice(number)}
        chosen += [(sources[r.id], r) for i, r in enumerate(rows, at) if i in wanted]
        at += summary["rows"]
    name = run.about["model"] if model is None else model
    books = len(run.about["codebook_sizes"])
    tokenizer = Tokenizer(name, codebooks=books, device=device, batch=run.about["batch"])
    if tokenizer.describe()["fingerprint"] != run.about["fingerprint"]:
        raise ArgumentError(f"{run.folder}: made with another model than {name} is here")
    return _compare(tokenizer, chosen, total, faults)


def _compare(
    tokenizer: Tokenizer, chosen: list[tuple[Recording, Coded]], rows: int, faults: list[str]
) -> Checked:
    frames = differing = 0
    distances: list[float] = []
    again = tokenizer.recordings([recording for recording, _ in chosen])
    for (recording, coded), other in zip(chosen, again, strict=True):
        if isinstance(other, NcodecError | OSError):
            faults.append(f"{recording.id}: cannot be read any more: {other}")
        elif other.codes.shape != coded.codes.shape:
            faults.append(
                f"{recording.id}: {other.codes.shape[1]} frames, not {coded.codes.shape[1]}"
            )
        else:
            frames += coded.codes.shape[1]
            wrong = int((other.codes != coded.codes).any(axis=0).sum())
            differing += wrong
            if wrong > max(1, coded.codes.shape[1] // 10):
                faults.append(f"{recording.id}: {wrong} of {coded.codes.shape[1]} frames differ")
            distances.append(_distance(tokenizer, recording, coded))
    median = float(np.median(distances)) if distances else float("nan")
    return Checked(rows, tuple(faults), len(chosen), frames, differing, median)


def _distance(tokenizer: Tokenizer, recording: Recording, coded: Coded) -> float:
    """Return the distance from the recording to the decoded sound."""
    model = tokenizer.model
    with closing(recording.open()) as reader:
        x = mix_channels(read_frames(reader, int(_SECONDS * coded.rate)), model.channels)
    x = resample(x, coded.rate, model.sample_rate)
    codes = coded.codes[:, : -(-x.shape[1] // model.hop)]
    y = decode(tokenizer, codes)
    length = min(x.shape[1], y.shape[1])
    return log_mel_distance(x[:, :length], y[:, :length], model.sample_rate)


@torch.inference_mode()
def decode(tokenizer: Tokenizer, codes: Any) -> Samples:
    """Return the sound `[C, T]` of codes `[K, F]`, at the model's rate."""
    tensor = torch.from_numpy(codes.astype(np.int64))[None].to(tokenizer.model.device)
    return tokenizer.model.decode(tensor)[0].cpu().numpy()
