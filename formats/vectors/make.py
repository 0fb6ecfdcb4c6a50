"""Makes the conformance kit anew, byte for byte: `python formats/vectors/make.py`.

What a reader must find is computed from what went into a file, not by reading it.
"""

import json
from pathlib import Path

from make_faulty import faulty
from make_parts import TOY, Entry
from make_valid import subset, uncommon

HERE = Path(__file__).resolve().parent


def kit() -> dict[str, dict[str, Entry]]:
    """Returns all files of all groups."""
    return {"subset": subset(), "uncommon": uncommon(), "faulty": faulty()}


def main() -> None:
    """Writes all files and each group's `expected.json`."""
    for group, entries in kit().items():
        folder = HERE / group
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, (data, _) in entries.items():
            (folder / name).write_bytes(data)
        lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, (_, entry) in entries.items()]
        (folder / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    (HERE / "subset" / "toy.tables").write_bytes(TOY.data)


if __name__ == "__main__":
    main()
