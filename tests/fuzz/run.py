"""Fuzzes one target by coverage, with atheris (`pip install atheris`), for as long as is wanted.

    python tests/fuzz/run.py read [--no-checks] -max_total_time=3600 [FOLDER]

With `--no-checks` every CRC counts as right if it is 0, so that more of the mutations get past it.
Options after that are libFuzzer's; new inputs are kept in FOLDER. The seeds are those of
`make_corpus.py`.
"""

import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "formats"), str(Path(__file__).parent)]

with atheris.instrument_imports(include=["ncodec_formats"]):
    import make_corpus
    import targets


def main() -> None:
    """Starts libFuzzer on the target named first."""
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(f"usage: run.py {'|'.join(targets.TARGETS)} [--no-checks] [options] [folder]")
    target = sys.argv.pop(1)
    if "--no-checks" in sys.argv:
        sys.argv.remove("--no-checks")
        targets.without_checks()
    seeds = make_corpus.groups()[targets.FOLDERS.get(target, "ecdc")]
    with tempfile.TemporaryDirectory() as folder:
        for name, data in seeds.items():
            Path(folder, name).write_bytes(data)
        atheris.Setup([*sys.argv, folder], lambda data: targets.one_input(target, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
