"""Fuzzes one target by coverage, with atheris (`pip install atheris`), for as long as is wanted.

    python tests/fuzz/run.py read -max_total_time=3600

Options after the target are libFuzzer's. New inputs are kept in a folder of their own, not here.
"""

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "formats"), str(Path(__file__).parent)]

with atheris.instrument_imports(include=["ncodec_formats"]):
    import targets


def main() -> None:
    """Starts libFuzzer on the target named first."""
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(f"usage: run.py {'|'.join(targets.TARGETS)} [libFuzzer options] [corpus folder]")
    target = sys.argv.pop(1)
    seeds = Path(__file__).parent / "corpus" / targets.FOLDERS.get(target, "ecdc")
    atheris.Setup([*sys.argv, str(seeds)], lambda data: targets.one_input(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
