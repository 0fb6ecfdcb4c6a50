"""The project's published tables: measures everything and writes benchmarks/RESULTS.md.

`python benchmarks/tables.py` takes the bundled clips; `--folder DIR --called TEXT` adds a section
on the recordings of a folder. Minutes on two cores; speeds only count on a quiet machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

from ncodec.bench import container, machine, speed, tables
from ncodec.bench.compare import compare
from ncodec.metrics import peak_memory

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "tests" / "data"
CLIPS = (HERE / "clips", DATA / "speech.flac", DATA / "music.flac")
MODEL = "ncodec_24khz"


def quality(paths: tuple[Path, ...], out: Path, against: tuple[str, ...] | None) -> str:
    def progress(done: int, total: int, what: str) -> None:
        print(f"{done} / {total}  {what}", file=sys.stderr)

    results = compare(paths, out, model=MODEL, against=against, progress=progress)
    return tables.to_markdown(results, level=3)


def memory() -> str:
    lines = [
        "| audio (s) | compress: peak (MB) | decompress: peak (MB) |",
        "| ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as name:
        source, coded = Path(name) / "noise.wav", Path(name) / "noise.ecdc"
        for seconds in (10, 100, 600):
            noise = 0.1 * np.random.default_rng(0).standard_normal(seconds * 24000)
            sf.write(source, noise, 24000)
            command = (sys.executable, "-m", "ncodec_cli")
            to = peak_memory([*command, "compress", str(source), str(coded), "-f", "-q"])
            fro = peak_memory([*command, "decompress", str(coded), str(source), "-f", "-q"])
            lines.append(f"| {seconds} | {to / 1e6:.0f} | {fro / 1e6:.0f} |")
    return "\n".join(lines) + "\n"


def speeds() -> str:
    found, left_out = speed.measure_speeds(speed.Plan(MODEL, threads=(1, 2)))
    return speed.to_markdown(found) + "".join(f"\nLeft out: {line}\n" for line in left_out)


def containers() -> str:
    return container.to_markdown(
        [
            container.measure_container(codebooks, frames, 600)
            for codebooks in (2, 8, 16)
            for frames in (4, 75)
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="recordings for a second section")
    parser.add_argument("--called", default="Other recordings", help="what they are")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="for reports")
    parser.add_argument("--against", help="codecs on the folder, with commas; all by default")
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS.md")
    arguments = parser.parse_args()
    against = tuple(arguments.against.split(",")) if arguments.against else None
    about = ", ".join(f"{key} {value}" for key, value in machine.describe().items())
    parts = [
        "# Results",
        f"Written by `benchmarks/tables.py`: {about}.",
        "Arrows point to better; \u00b1 is the half of the 95 % confidence interval over the\n"
        "recordings. The real bitrate counts all bytes of a file; in files of a few seconds\n"
        "headers are a visible part of it.",
        "## Quality: bundled clips",
        quality(CLIPS, arguments.out / "clips", None),
    ]
    if arguments.folder:
        found = quality((arguments.folder,), arguments.out / "folder", against)
        parts += [f"## Quality: {arguments.called}", found]
    parts += [
        "## Speed",
        "Noise of 10 s at 6 kbps, one block after the other: a second (75 frames) as in files, 1\n"
        "and 4 frames as in live streams. `encodec` codes the whole signal at once.",
        speeds(),
        "## Memory",
        "Peak resident memory of the whole command, Python and torch included.",
        memory(),
        "## Container",
        "Random codes of 10 minutes, 75 frames a second; in memory.",
        containers(),
    ]
    arguments.results.write_text("\n\n".join(part.strip() for part in parts) + "\n", "utf-8")
    print(arguments.results)


if __name__ == "__main__":
    main()
