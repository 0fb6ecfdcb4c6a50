"""What documents show is run: docstrings' examples, and the Python in README and docs, whole."""

import doctest
import importlib
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import soundfile

import ncodec
from tests.test_layering import FLOORS

ROOT = Path(__file__).resolve().parent.parent
SPEECH = ROOT / "tests" / "data" / "speech.flac"
PACKAGES = {"ncodec": ROOT, "ncodec_cli": ROOT, "ncodec_formats": ROOT / "formats"}
FIRST_MET = {
    *("ncodec.api.models", "ncodec.api.sound", "ncodec.api.operations", "ncodec.codec.whole_files"),
    *("ncodec.codec.encoder", "ncodec.nn.conv", "ncodec_formats.header", "ncodec_formats.reader"),
}
"""Modules of what a newcomer touches first: each has an example."""


def with_examples() -> list[str]:
    """Name the modules that show an example."""
    return sorted(
        ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
        for package, base in PACKAGES.items()
        for path in (base / package).rglob("*.py")
        if ">>> " in path.read_text("utf-8")
    )


def python_of(path: Path) -> str:
    """Return a document's Python, each line where it stands, so that errors name the line."""
    lines, inside = [], False
    for line in path.read_text("utf-8").splitlines():
        if re.fullmatch(r"\s*```.*", line):
            inside = line.strip() == "```python"
            lines.append("")
        else:
            lines.append(line if inside else "")
    return "\n".join(lines)


def documents() -> list[Path]:
    """List the documents that show Python."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in paths if python_of(path).strip()]


@pytest.fixture(scope="session")
def samples(tmp_path_factory) -> dict[str, bytes]:
    """Files that documents speak of."""
    folder = tmp_path_factory.mktemp("samples")
    audio, rate = soundfile.read(SPEECH, dtype="float32")
    soundfile.write(folder / "talk.wav", audio, rate)
    ncodec.compress(folder / "talk.wav", folder / "talk.ecdc", bandwidth=6)
    talk = (folder / "talk.wav").read_bytes()
    return {"in.wav": talk, "talk.wav": talk, "talk.ecdc": (folder / "talk.ecdc").read_bytes()}


@pytest.fixture
def new_folder(samples, tmp_path, monkeypatch) -> Callable[[], Path]:
    """Make a temporary folder with sample files in it the current one."""
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    numbers = count()

    def make() -> Path:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        for name, content in samples.items():
            (folder / name).write_bytes(content)
        monkeypatch.chdir(folder)
        return folder

    return make


def test_what_is_met_first_has_an_example() -> None:
    assert set(with_examples()) >= FIRST_MET
    assert ROOT / "README.md" in documents()


@pytest.mark.parametrize("name", with_examples())
def test_examples_in_docstrings(name: str, new_folder) -> None:
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(importlib.import_module(name)):
        if example.examples:
            new_folder()
        runner.run(example)
    assert runner.tries
    assert runner.failures == 0


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_python_in_documents(path: Path, new_folder) -> None:
    new_folder()
    exec(compile(python_of(path), str(path), "exec"), {"__name__": "__main__"})


def resolves(name: str) -> bool:
    """Say whether a dotted name is a module, or leads to something in one."""
    parts, found = name.split("."), None
    for at in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:at]))
        except ModuleNotFoundError:
            continue
        for part in parts[at:]:
            fields = getattr(found, "__annotations__", {})
            found = getattr(found, part, fields.get(part))
        return found is not None
    return False


NO_MODULES = {"ncodec.families", "ncodec.fish", "ncodec.json", "ncodec.ps1"}
"""What only looks like a module: a group of entry points, names of files."""


def test_every_dotted_name_that_a_text_tells_is_there() -> None:
    """A thing that moves takes along what documents, docstrings and comments say of it."""
    texts = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "formats/SPEC.md")]
    texts += sorted((ROOT / "docs").glob("*.md"))
    for package, base in PACKAGES.items():
        texts += sorted((base / package).rglob("*.py"))
    wrong: dict[str, str] = {}
    pattern = re.compile(rf"\b(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+")
    names = {n: p for p in texts for n in pattern.findall(p.read_text("utf-8"))}
    for name, path in names.items():
        if name not in NO_MODULES and not resolves(name):
            wrong[name] = path.name
    assert len(names) > 100
    assert wrong == {}
    assert not resolves("ncodec.codec.links")
    assert not resolves("ncodec.Header.no_such_field")


def test_every_file_that_a_document_names_is_there() -> None:
    """Paths in documents count from the root, from a package, or from the document."""
    bases = [
        ROOT,
        ROOT / "formats",
        *(base / package for package, base in PACKAGES.items()),
        ROOT / "docs",
    ]
    wrong = {
        (path.name, name)
        for path in (ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
        for name in re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|md|toml))`", path.read_text("utf-8"))
        if not any((base / name).exists() for base in bases)
    }
    assert wrong == set()


def test_the_architecture_is_as_drawn() -> None:
    """Every file that the page names is there, and its floors are those that imports keep to."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    files = {path.as_posix() for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    assert len(named) > 20
    assert not [name for name in named if not any(f.endswith(f"/{name}") for f in files)]
    drawn = [
        re.findall(r"ncodec[_.]\w+", floor) for floor in re.split(r"-{20,}\n", text.split("```")[3])
    ]
    rooms = [
        {room for room in floor if room not in ("ncodec", "ncodec.__main__")} for floor in FLOORS
    ]
    assert [set(floor) for floor in reversed(drawn)] == [floor for floor in rooms if floor]
