"""Every codec against its packages: same weights, same audio, alternating, in one process.

`python benchmarks/speed.py [--seconds 20] [--rounds 5]` prints the table of docs/performance.md:
EnCodec, DAC, Mimi, the embedded model, and EnCodec against itself. What a machine lacks, bf16 or a
package, is left out with a line. Times are the best of the rounds, since other work on the machine
only ever adds to one; ratios of medians stand beside those of the best.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import soundfile
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ncodec.bench.machine import describe
from ncodec.codec import compress, decompress
from ncodec.config import EncodecConfig
from ncodec.errors import DeviceError
from ncodec.models.base import CompressionModel
from ncodec.models.encodec import EncodecModel
from ncodec.models.records import Chunk
from ncodec.runtime import in_precision
from tests.models.reference import STEREO, ours, package_model, package_weights

BLOCK_SECONDS = 4.0
Work = Callable[[], object]


def timed(
    works: dict[str, Work], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Run all in turn, `rounds` times; return the times of each in seconds.

    Processor time suits one thread, whatever else runs; several threads need a wall clock.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            start = clock()
            work()
            if number:  # the first round lays out weights and warms caches
                times[name].append(clock() - start)
    return times


def alternate(
    works: dict[str, Work], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """As `timed`; return the best time of each."""
    return {name: min(times) for name, times in timed(works, rounds, clock).items()}


def title() -> str:
    """Name the processor and its instructions, which speeds hang on, above a table's head."""
    about = describe()
    kind = f"{about['machine']}, {about['instructions']}, torch {torch.__version__}"
    return f"One thread, {about['date']}: {kind}\n\n| work | result |\n| --- | --- |"


def compared(
    ours: dict[str, Work], packages: dict[str, tuple[Work, Work]], rounds: int, seconds: float
) -> Iterator[tuple[str, str]]:
    """How many times as fast as each package's encode and decode ours are."""
    works = {
        f"{package} {way}": work
        for package, both in packages.items()
        for way, work in zip(("encode", "decode"), both, strict=True)
    }
    times = timed(works | ours, rounds)
    for kind in ours:
        took, way = times[kind], kind.split()[-1]
        for package in packages:
            theirs = times[f"{package} {way}"]
            ratio, middle = min(theirs) / min(took), median(theirs) / median(took)
            fast = seconds / min(took)
            yield (
                f"{kind}, against {package}",
                (f"{ratio:.2f}x (medians {middle:.2f}x); {fast:.1f}x real time"),
            )


def same_codes(chunks: list[Chunk], codes: Tensor) -> str:
    """Say which share of codes a package finds too."""
    own = torch.cat([chunk.codes for chunk in chunks], dim=2)
    length = min(own.shape[2], codes.shape[2])
    same = (own[..., :length] == codes[..., :length]).float().mean()
    return f"{100 * same:.3f} %"


@contextmanager
def threads(count: int) -> Generator[None]:
    """Let torch use `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def precisions(full: CompressionModel, half: CompressionModel) -> dict[str, CompressionModel]:
    """Return two models of the same weights, the second in bf16 if this processor has that."""
    try:
        return {"float32": full, "bf16": in_precision(half, "bf16", "cpu")}
    except DeviceError as error:
        print(f"rows left out: {error}", file=sys.stderr)
        return {"float32": full}


def ratios(
    models: dict[str, CompressionModel],
    audio: Tensor,
    packages: dict[str, tuple[Work, Work]],
    block: int,
    rounds: int,
) -> Iterator[tuple[str, str]]:
    """How many times as fast as the packages' encode and decode ours are, and what bf16 costs."""
    coded = {name: encode(model, audio, block) for name, model in models.items()}
    works = dict[str, Work]()
    for name, model in models.items():
        kind = "" if name == "float32" else f"{name} "
        works[f"{kind}encode"] = lambda model=model: encode(model, audio, block)
        works[f"{kind}decode"] = lambda model=model: decode(model, coded["float32"])
    seconds = audio.shape[2] / models["float32"].sample_rate
    yield from compared(works, packages, rounds, seconds)
    if "bf16" in models:
        exact, low = (torch.cat([c.codes for c in chunks], dim=2) for chunks in coded.values())
        first = (exact[:, 0] == low[:, 0]).float().mean()
        yield "bf16: first codebook's codes equal", f"{100 * first:.1f} %"
        heard, close = (decode(model, coded["float32"]) for model in models.values())
        noise = (heard.square().mean() / (heard - close).square().mean()).log10() * 10
        yield "bf16: decoded, signal to difference", f"{noise:.1f} dB"


def encode(model: CompressionModel, audio: Tensor, block: int) -> list[Chunk]:
    """Encode in blocks, as the stream encoder does."""
    state, chunks = model.encoder_state(len(audio)), list[Chunk]()
    for part in audio.split(block, dim=2):
        ready, state = model.encode_step(part, state)
        chunks += ready
    return chunks + model.encode_flush(state)


def decode(model: CompressionModel, chunks: list[Chunk]) -> Tensor:
    """Decode chunk by chunk."""
    state, parts = model.decoder_state(len(chunks[0].codes)), list[Tensor]()
    for chunk in chunks:
        audio, state = model.decode_step(chunk, state)
        parts.append(audio)
    return torch.cat([*parts, model.decode_flush(state)], dim=2)


def split(chunks: list[Chunk], frames: int) -> list[Chunk]:
    """Cut chunks into pieces of `frames`."""
    codes = torch.cat([chunk.codes for chunk in chunks], dim=2)
    return [Chunk(part, None) for part in codes.split(frames, dim=2)]


def against_the_package(stereo: bool, seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    """Whole signals at 6 kbps on one thread, float32 and bf16, both ways."""
    config = STEREO if stereo else EncodecConfig()
    package = package_model(stereo)
    package.set_target_bandwidth(6.0)
    weights = package_weights(package, config)
    models = precisions(ours(config, weights), ours(config, weights))
    for model in models.values():
        model.set_num_codebooks(4 if stereo else 8)
    audio = torch.randn(1, config.channels, int(seconds * config.sample_rate)) * 0.1
    block = int(BLOCK_SECONDS * config.sample_rate)
    frames, named = package.encode(audio), f"EnCodec {config.sample_rate // 1000} kHz"
    both = (lambda: package.encode(audio), lambda: package.decode(frames))
    for work, result in ratios(models, audio, {"the package": both}, block, rounds):
        yield f"{named} {work}", result
    found = torch.cat([frame[0] for frame in frames], dim=2)
    own = encode(models["float32"], audio, block)
    yield f"{named} codes equal to the package's", same_codes(own, found)


def against_itself(seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    """Two threads, single frames, and 64 streams side by side."""
    model = EncodecModel(EncodecConfig()).eval()
    models = precisions(model, EncodecModel(EncodecConfig()).eval())
    for each in models.values():
        each.set_num_codebooks(8)
    audio = torch.randn(1, 1, int(seconds * 24000)) * 0.1
    yield from two_threads(model, audio, rounds)
    second_of_audio = audio[..., :24000]
    for name, each in models.items():
        single = split(encode(each, second_of_audio, 320), 1)
        times = alternate(
            {
                "encode": lambda each=each: encode(each, second_of_audio, 320),
                "decode": lambda each=each, single=single: decode(each, single),
            },
            rounds,
        )
        total = times["encode"] + times["decode"]
        detail = f"{times['encode']:.2f} + {times['decode']:.2f}"
        yield f"frame by frame, {name}, encode + decode", f"{total:.2f} of real time ({detail})"

    many = torch.randn(64, 1, 24000) * 0.1
    times = alternate(
        {
            "together": lambda: encode(model, many, 24000),
            "one by one": lambda: [encode(model, one[None], 24000) for one in many],
            "together by frames": lambda: encode(model, many[..., :3200], 320),
            "one by one by frames": lambda: [encode(model, x[None, :, :3200], 320) for x in many],
        },
        max(1, rounds // 3),
    )
    ratio = times["one by one"] / times["together"]
    yield "64 streams together, encode, blocks of 1 s", f"{ratio:.2f}x one by one"
    ratio = times["one by one by frames"] / times["together by frames"]
    yield "64 streams together, encode, frame by frame", f"{ratio:.2f}x one by one"


def two_threads(model: CompressionModel, audio: Tensor, rounds: int) -> Iterator[tuple[str, str]]:
    """Whole files in memory, as `compress` and `decompress` code them."""
    wav, made = io.BytesIO(), dict[tuple[str, int], bytes]()
    soundfile.write(wav, audio[0].T.numpy(), model.sample_rate, format="WAV", subtype="FLOAT")

    def run(way: str, count: int) -> Work:
        def work() -> None:
            target = io.BytesIO()
            with threads(count):
                if way == "encode":
                    compress(io.BytesIO(wav.getvalue()), target, model=model, bandwidth=6.0)
                else:
                    decompress(io.BytesIO(made["encode", 1]), target, model=model)
            made[way, count] = target.getvalue()

        return work

    works = {f"{way} {count}": run(way, count) for way in ("encode", "decode") for count in (1, 2)}
    times = alternate(works, rounds, time.perf_counter)
    for way in ("encode", "decode"):
        ratio = times[f"{way} 1"] / times[f"{way} 2"]
        same = "equal" if made[way, 1] == made[way, 2] else "different"
        yield f"two threads against one, {way} of a file", f"{ratio:.2f}x, {same} bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the audio")
    parser.add_argument("--rounds", type=int, default=5, help="alternating repetitions")
    parser.add_argument("--only", choices=PARTS, help="one part of the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(title())
    with torch.no_grad():  # weights made in inference mode are packed anew on each call
        for name, rows in PARTS.items():
            if args.only in (None, name):
                torch.manual_seed(0)
                for work, result in rows(args.seconds, args.rounds):
                    print(f"| {work} | {result} |", flush=True)


def _dac(seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    import dac_speed

    yield from dac_speed.rows(min(seconds, 2.0), rounds)


def _mimi(seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    import mimi_speed

    yield from mimi_speed.rows(seconds, rounds, 8)


def _embedded(seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    import embedded

    yield from embedded.rows(seconds, rounds)


PARTS: dict[str, Callable[[float, int], Iterator[tuple[str, str]]]] = {
    "24": lambda seconds, rounds: against_the_package(False, seconds, rounds),
    "48": lambda seconds, rounds: against_the_package(True, seconds, rounds),
    "dac": _dac,
    "mimi": _mimi,
    "embedded": _embedded,
    "itself": against_itself,
}


if __name__ == "__main__":
    main()
