"""How fast codecs run: files and live blocks, threads, against the `encodec` package."""

from __future__ import annotations

import importlib
import sys
import time
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncodec.bench.processes import workers
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.errors import CheckpointError
from ncodec.metrics import real_time
from ncodec.models.base import CompressionModel

Blocks = list[float]
Work = Callable[[], Blocks]
"""Runs once; returns the seconds that each block took."""


@dataclass(frozen=True)
class Speed:
    """One codec at one piece of work.

    Attributes:
        codec: name.
        work: `encode` or `decode`.
        block_frames: frames that go through the model together; None for a whole file at once.
        threads: of the process.
        real_time: seconds of sound a second, median run: higher is better, 1 is just live.
        block_ms: median time of a block.
        late_ms: 99th percentile of it; live use needs it under `budget_ms`.
        budget_ms: how long a block of sound lasts.
    """

    codec: str
    work: str
    block_frames: int | None
    threads: int
    real_time: float
    block_ms: float
    late_ms: float
    budget_ms: float


@dataclass(frozen=True)
class Plan:
    """What is timed.

    Attributes:
        model: name or path.
        bandwidth: kbps.
        seconds: length of the sound, which is noise: speed does not depend on it.
        threads: numbers of threads.
        blocks: frames a block: 75 are a second at 75 Hz, as in files; 1 to 4 are live.
        runs: turns.
        precision: what our models compute in, "float32" or "bf16".
        reference: whether EnCodec 24 kHz (weights at random) is timed too, ours and the package's.
    """

    model: str
    bandwidth: float = 6.0
    seconds: float = 10.0
    threads: tuple[int, ...] = (1,)
    blocks: tuple[int, ...] = (1, 4, 75)
    runs: int = 3
    reference: bool = True
    precision: str = "float32"


def measure_speeds(plan: Plan) -> tuple[list[Speed], list[str]]:
    """Time a model's streams, EnCodec's on the same layers, and the `encodec` package's.

    Each number of threads gets a fresh process. In it all pieces of work take turns, so that a busy
    moment of the machine falls on all of them, and the median over the turns counts.

    Returns:
        The speeds, and a line for each thing left out.
    """
    speeds, left_out = list[Speed](), list[str]()
    for threads in plan.threads:
        with workers(1, threads=threads) as pool:
            found, missing = pool.submit(_measure, plan, threads).result()
        speeds += found
        left_out += [line for line in missing if line not in left_out]
    return speeds, left_out


def to_markdown(speeds: Sequence[Speed]) -> str:
    """Return a table, with each speed's ratio to `encodec`'s on the same work and threads."""
    base = {(s.work, s.threads): s.real_time for s in speeds if s.codec.startswith("encodec ")}
    lines = [
        "| codec | work | block (frames) | threads | x real time | x encodec | block (ms) "
        "| 99 % of blocks (ms) | block lasts (ms) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for s in speeds:
        own = base.get((s.work, s.threads))
        ratio = f"{s.real_time / own:.2f}" if own else ""
        block = "whole" if s.block_frames is None else str(s.block_frames)
        lines.append(
            f"| {s.codec} | {s.work} | {block} | {s.threads} | {s.real_time:.1f} | {ratio} "
            f"| {s.block_ms:.2f} | {s.late_ms:.2f} | {s.budget_ms:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _measure(plan: Plan, threads: int) -> tuple[list[Speed], list[str]]:
    import torch

    from ncodec.checkpoints.loading import find_model
    from ncodec.config import EncodecConfig
    from ncodec.models.encodec import EncodecModel
    from ncodec.runtime import in_precision

    left_out = list[str]()
    models = [find_model(plan.model, None, "cpu", plan.precision)]
    if plan.reference:
        ours = EncodecModel(EncodecConfig(), "encodec_24khz in ncodec").eval()
        models.append(in_precision(ours, plan.precision, "cpu"))
    works = dict[tuple[str, str, int | None], Work]()
    for model in models:
        length = round(plan.seconds * model.sample_rate)
        noise = 0.1 * np.random.default_rng(0).standard_normal((model.channels, length))
        for block in plan.blocks:
            encode, decode = _stream_work(model, noise.astype(np.float32), plan.bandwidth, block)
            works[model.name, "encode", block] = encode
            works[model.name, "decode", block] = decode
    if plan.reference:
        try:
            package = _encodec_package()
        except (ImportError, OSError) as error:
            left_out.append(f"encodec: {error}")
        else:
            encode, decode = _package_work(package, plan.seconds, plan.bandwidth)
            works[f"encodec {package.__version__}", "encode", None] = encode
            works[f"encodec {package.__version__}", "decode", None] = decode
    times = {key: list[Blocks]() for key in works}
    with torch.inference_mode():
        for work in works.values():
            work()  # not counted: caches fill, kernels are chosen
        for _ in range(plan.runs):
            for key, work in works.items():
                times[key].append(work())
    hops = {model.name: model.hop / model.sample_rate for model in models}
    return [_speed(key, times[key], threads, plan.seconds, hops) for key in works], left_out


def _speed(
    key: tuple[str, str, int | None],
    runs: list[Blocks],
    threads: int,
    seconds: float,
    hops: dict[str, float],
) -> Speed:
    codec, work, block = key
    each = 1000 * np.concatenate(runs)
    return Speed(
        codec=codec,
        work=work,
        block_frames=block,
        threads=threads,
        real_time=real_time(seconds, [sum(run) for run in runs]),
        block_ms=float(np.median(each)),
        late_ms=float(np.percentile(each, 99)),
        budget_ms=1000 * (seconds if block is None else block * hops[codec]),
    )


def _stream_work(
    model: CompressionModel, samples: np.ndarray, bandwidth: float, block: int
) -> tuple[Work, Work]:
    """Return encoding and decoding of `[C, T]`, block by block, as live audio and files do it."""

    def new_encoder() -> StreamEncoder:
        return StreamEncoder(
            model,
            sample_rate=model.sample_rate,
            channels=model.channels,
            bandwidth=bandwidth,
            packet_frames=block,
            block_frames=block,
        )

    size = block * model.hop
    pieces = [samples[:, at : at + size] for at in range(0, samples.shape[1], size)]

    def encode() -> Blocks:
        encoder = new_encoder()
        return _clock([*(lambda p=p: encoder.push(p) for p in pieces), encoder.finish])

    encoder = new_encoder()
    packets = [packet for piece in pieces for packet in encoder.push(piece)] + encoder.finish()

    def decode() -> Blocks:
        decoder = StreamDecoder(model, encoder.header, gapless=False)
        return _clock([*(lambda p=p: decoder.push(p) for p in packets), decoder.finish])

    return encode, decode


def _clock(steps: Sequence[Callable[[], object]]) -> Blocks:
    times = Blocks()
    for step in steps:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def _encodec_package() -> Any:
    """Import `encodec`; where torchaudio does not load beside this torch, without it.

    It needs torchaudio for reading files only. This runs in a worker process that ends here.
    """
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError):
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    return importlib.import_module("encodec")


def _package_work(package: Any, seconds: float, bandwidth: float) -> tuple[Work, Work]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch, about the package's weight norm
        model = package.EncodecModel.encodec_model_24khz(pretrained=False).eval()
    try:
        model.set_target_bandwidth(bandwidth)
    except ValueError as error:
        raise CheckpointError(f"encodec: {error}") from error
    audio = 0.1 * torch.randn(1, 1, round(seconds * 24000))
    with torch.inference_mode():
        frames = model.encode(audio)
    return (lambda: _clock([lambda: model.encode(audio)])), (
        lambda: _clock([lambda: model.decode(frames)])
    )
