"""Regression guard: the embedded model's quality and file sizes against stored values.

`python benchmarks/guard.py` codes the bundled clips and compares with benchmarks/guard.json; it
exits with 1 if a figure is worse than stored by more than its tolerance, which covers that other
processors round otherwise and choose another code here and there. `--update` stores what it finds.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

import ncodec
from ncodec import metrics
from ncodec.bench import machine
from ncodec.codec import compress, decompress

STORED = Path(__file__).with_name("guard.json")
DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
BANDWIDTHS = (1.5, 6.0, 12.0)

# (function, which way is good, tolerance)
SPEECH = {
    "pesq_wb": (metrics.pesq_wb, +1, 0.06),
    "stoi": (metrics.stoi, +1, 0.006),
    "log_mel": (metrics.log_mel_distance, -1, 0.06),
    "lines": (lambda _, decoded, rate: metrics.line_share(decoded, rate), -1, 0.05),
}
MUSIC = {
    "visqol_audio": (metrics.visqol_audio, +1, 0.06),
    "log_mel": (metrics.log_mel_distance, -1, 0.06),
}
STRESS = {
    "pesq_wb": (metrics.pesq_wb, +1, 0.06),
    "level": (lambda a, b, _: abs(10 * np.log10(np.mean(b**2) / np.mean(a**2))), -1, 0.3),
}
TRIALS = {"at -42 dBFS": (-42.0, 1), "coded five times": (None, 5)}
SIZE_TOLERANCE = 0.01  # of the bytes: other codes here and there are predicted otherwise


def measure() -> dict[str, dict[str, float]]:
    """Return figures by clip and bitrate."""
    model = ncodec.load_model()
    found = dict[str, dict[str, float]]()
    with tempfile.TemporaryDirectory() as name:
        coded, back = Path(name) / "x.ecdc", Path(name) / "x.wav"
        for kind, measures in (("speech", SPEECH), ("music", MUSIC)):
            source = DATA / f"{kind}.flac"
            original, rate = sf.read(source)
            original = np.asarray(original, dtype=np.float64)
            for bandwidth in BANDWIDTHS:
                compress(source, coded, model=model, bandwidth=bandwidth, force=True)
                decompress(coded, back, model=model, force=True)
                decoded = np.asarray(sf.read(back)[0], dtype=np.float64)
                figures: dict[str, float] = {"bytes": coded.stat().st_size}
                for key, (function, _, _) in measures.items():
                    figures[key] = round(function(original, decoded, rate), 4)
                found[f"{kind} {bandwidth:g} kbps"] = figures
    return found | stressed(model)


def stressed(model: ncodec.CompressionModel) -> dict[str, dict[str, float]]:
    """Return figures of speech that is very quiet, and of speech that is coded again and again."""
    speech, rate = sf.read(DATA / "speech.flac")
    found = dict[str, dict[str, float]]()
    for name, (level, times) in TRIALS.items():
        gain = 1 if level is None else 10 ** (level / 20) / np.sqrt(np.mean(speech**2))
        original = decoded = np.asarray(speech * gain, dtype=np.float32)
        for _ in range(times):
            file = io.BytesIO()
            ncodec.write(file, decoded, rate, bandwidth=6, model=model)
            file.seek(0)
            decoded = ncodec.read(file, model=model)[0].astype(np.float32)
        found[f"speech 6 kbps, {name}"] = {
            key: round(float(function(original, decoded, rate)), 4)
            for key, (function, _, _) in STRESS.items()
        }
    return found


def compare(found: dict[str, dict[str, float]], stored: dict[str, dict[str, float]]) -> int:
    """Print every figure beside the stored one; return how many are worse than tolerated."""
    worse = 0
    measures = {**SPEECH, **MUSIC, **STRESS}
    for clip, figures in stored.items():
        for key, before in figures.items():
            now = found[clip][key]
            if key == "bytes":
                better, tolerance = before - now, SIZE_TOLERANCE * before
            else:
                _, sign, tolerance = measures[key]
                better = sign * (now - before)
            verdict = "ok" if better >= -tolerance else "WORSE"
            if better > tolerance:
                verdict = "better: store it with --update"
            worse += verdict == "WORSE"
            print(
                f"{clip:32} {key:13} {before:>10.4f} -> {now:>10.4f}  (+-{tolerance:g}) {verdict}"
            )
    return worse


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--update", action="store_true", help="store what is found")
    arguments = parser.parse_args()
    found = measure()
    if arguments.update:
        about = {**machine.describe(), "weights": ncodec.load_model().fingerprint.hex()[:12]}
        STORED.write_text(json.dumps({"about": about, "figures": found}, indent=1) + "\n")
        print(f"stored in {STORED}")
        return 0
    worse = compare(found, json.loads(STORED.read_text())["figures"])
    print(f"{worse} figures are worse than tolerated" if worse else "no regression")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
