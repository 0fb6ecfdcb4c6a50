"""A whole process that codes 5 s of speech, against `python -c "import torch"`.

    python benchmarks/startup.py [--rounds 5]

The commands take turns; each row is the best of the rounds. Wall time suits a quiet machine;
processor time, which other work distorts less, is beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import soundfile
from container import alternate, command

SPEECH = Path(__file__).resolve().parent.parent / "tests" / "data" / "speech.flac"
SECONDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        sound, coded, back = (Path(folder) / name for name in ("a.wav", "a.ecdc", "b.wav"))
        samples, rate = soundfile.read(SPEECH, frames=SECONDS * 24000)
        assert len(samples) == SECONDS * rate
        soundfile.write(sound, samples, rate)
        works = {
            "import torch": command(python, "-c", "import torch"),
            "compress": command(python, "-m", "ncodec_cli", "compress", "-fq", sound, coded),
            "decompress": command(python, "-m", "ncodec_cli", "decompress", "-fq", coded, back),
        }
        times = alternate(works, args.rounds)
    print("| process | wall (s) | against import torch | processor (s) | against import torch |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, (wall, processor) in times.items():
        ratios = (wall / times["import torch"][0], processor / times["import torch"][1])
        print(f"| {name} | {wall:.2f} | {ratios[0]:.2f}x | {processor:.2f} | {ratios[1]:.2f}x |")


if __name__ == "__main__":
    main()
