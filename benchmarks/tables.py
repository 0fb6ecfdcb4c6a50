"""The project's published tables: measures and writes benchmarks/RESULTS.md.

`python benchmarks/tables.py` measures all sections; `--only quality,speed` measures those and keeps
the others as they stand. `--folder DIR --called TEXT` adds or renews a section on a folder's
recordings. Minutes on two cores; speeds only count on a quiet machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from memory import measure as measure_memory

from ncodec.bench import container, machine, speed, tables
from ncodec.bench.compare import compare

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "tests" / "data"
CLIPS = (HERE / "clips", DATA / "speech.flac", DATA / "music.flac")
MODEL = "ncodec_24khz"
HEAD = """# Results

Written by `benchmarks/tables.py`. Arrows point to better; \u00b1 is the half of the 95 % confidence
interval over the recordings. The real bitrate counts all bytes of a file; in files of a few
seconds headers are a visible part of it. The digits after a model's name begin the fingerprint of
its weights. docs/benchmarks.md tells what each metric is.
"""


def quality(paths: Sequence[Path], out: Path, against: Sequence[str] | None) -> str:
    def progress(done: float, total: float | None) -> None:
        print(f"{done:g} / {total:g}" if total else f"{done:g}", file=sys.stderr)

    results = compare(paths, out, model=MODEL, against=against, progress=progress)
    return tables.to_markdown(results, level=3)


def speeds() -> str:
    """Noise of 10 s at 6 kbps, one block after the other: a second (75 frames) as in files, 1
    and 4 frames as in live streams. `encodec` codes the whole signal at once.
    """
    found, left_out = speed.measure_speeds(speed.Plan(MODEL, threads=(1, 2)))
    return speed.to_markdown(found) + "".join(f"\nLeft out: {line}\n" for line in left_out)


def memory() -> str:
    """Peak resident memory of the whole command, torch included; 48 kHz stereo, 12 kbps."""
    lines = [
        "| audio (min) | compress: peak (MB) | decompress: peak (MB) |",
        "| ---: | ---: | ---: |",
    ]
    for seconds in (60, 600):
        found = measure_memory(seconds, ["--bw", "12"])
        peaks = (f"{found[name][0]:.0f}" for name in ("compress", "decompress"))
        lines.append(f"| {seconds // 60} | {' | '.join(peaks)} |")
    return "\n".join(lines)


def containers() -> str:
    """Random codes of 10 minutes, 75 frames a second; in memory."""
    found = [
        container.measure_container(codebooks, frames, 600)
        for codebooks in (2, 8, 16)
        for frames in (4, 75)
    ]
    return container.to_markdown(found)


def read_sections(text: str) -> dict[str, str]:
    """Return the sections of a results file by heading."""
    parts = text.split("\n## ")[1:]
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in parts}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", help="of quality, folder, speed, memory, container; commas")
    parser.add_argument("--folder", type=Path, help="recordings for a section of their own")
    parser.add_argument("--called", default="other recordings", help="what they are")
    parser.add_argument("--against", help="codecs on the folder, commas; all by default")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="for reports")
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS.md")
    arguments = parser.parse_args()
    against = arguments.against.split(",") if arguments.against else None
    out: Path = arguments.out
    work: dict[str, tuple[str, Callable[[], str]]] = {
        "quality": ("Quality: bundled clips", lambda: quality(CLIPS, out / "clips", None)),
        "speed": ("Speed", speeds),
        "memory": ("Memory", memory),
        "container": ("Container", containers),
    }
    if arguments.folder:
        heading = f"Quality: {arguments.called}"
        work["folder"] = (heading, lambda: quality([arguments.folder], out / "folder", against))
    wanted = arguments.only.split(",") if arguments.only else list(work)
    if unknown := set(wanted) - set(work):
        parser.error(f"{', '.join(unknown)}: must be of {', '.join(work)}")
    results: Path = arguments.results
    sections = read_sections(results.read_text("utf-8")) if results.exists() else {}
    for name in wanted:
        heading, measure = work[name]
        about = ", ".join(f"{key} {value}" for key, value in machine.describe().items())
        told = "" if measure.__doc__ is None else f"{_plain(measure.__doc__)}\n\n"
        sections[heading] = f"{told}Measured: {about}.\n\n{measure().strip()}"
        ordered = sorted(sections.items(), key=lambda item: not item[0].startswith("Quality"))
        body = "".join(f"\n## {head}\n\n{text}\n" for head, text in ordered)
        results.write_text(HEAD + body, "utf-8")
    print(results)


def _plain(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


if __name__ == "__main__":
    main()
