"""Imports run one way, and the commands that need no model start without torch."""

from __future__ import annotations

import ast
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import tomli as tomllib

import ncodec

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "formats")])}


FLOORS = (
    ("ncodec_formats",),
    ("ncodec", "ncodec.errors"),
    ("ncodec.arguments", "ncodec.files", "ncodec.progress", "ncodec.quiet", "ncodec.regroup"),
    ("ncodec.config", "ncodec.dsp", "ncodec.kernels", "ncodec.runtime"),
    ("ncodec.streaming",),
    ("ncodec.nn", "ncodec.quantize"),
    ("ncodec.models",),
    ("ncodec.export",),
    ("ncodec.checkpoints",),
    ("ncodec.adversarial", "ncodec.audio", "ncodec.containers", "ncodec.losses", "ncodec.metrics"),
    ("ncodec.codec", "ncodec.vocoder"),
    ("ncodec.datasets", "ncodec.lm"),
    ("ncodec.latents",),
    ("ncodec.api", "ncodec.live", "ncodec.page", "ncodec.serve", "ncodec.train"),
    ("ncodec.net",),
    ("ncodec.bench",),
    ("ncodec_cli",),
    ("ncodec.__main__",),
)
"""Rooms from the lowest floor up. What stands in a room imports from lower floors and from its own
room, in functions too; rooms of one floor do not know each other. `ncodec` itself, the package's
`__init__`, loads nothing: a name that it shows counts as the module that has it."""
ALLOWED = {("ncodec.models.base", "ncodec.checkpoints")}
"""Edges that go up: AudioCraft's `CompressionModel.get_pretrained`. May only shrink."""


def read_sources() -> dict[str, str]:
    """Return the text of every module of ours; a package's `__init__` keeps that name."""
    bases = {"ncodec": ROOT, "ncodec_cli": ROOT, "ncodec_formats": ROOT / "formats"}
    return {
        ".".join(path.relative_to(base).with_suffix("").parts): path.read_text(encoding="utf-8")
        for package, base in bases.items()
        for path in (base / package).rglob("*.py")
    }


@cache
def imports_of(module: str, text: str) -> frozenset[str]:
    """Return all that a module imports, at its top or in a function, but not for types only."""
    parts = module.split(".")
    found: set[str] = set()
    for node in at_run_time(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = parts[: len(parts) - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {f"ncodec.{node.attr}"} if node.value.id == "ncodec" else set()
    return frozenset(found)


def at_run_time(node: ast.AST) -> Iterable[ast.AST]:
    """Walk a tree without what stands under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from [other, *at_run_time(other)]
        else:
            yield from [child, *at_run_time(child)]


def graph_of(sources: dict[str, str]) -> dict[str, set[str]]:
    """Return which modules of ours each module imports."""
    named = {module.removesuffix(".__init__"): module for module in sources}

    def module_of(name: str) -> str | None:
        if name.startswith("ncodec.") and name.removeprefix("ncodec.") in ncodec._PLACE_OF:
            name = ncodec._PLACE_OF[name.removeprefix("ncodec.")]
        while name not in named and "." in name:
            name = name.rpartition(".")[0]
        return named.get(name)

    return {
        module: {module_of(name) for name in imports_of(module, text)} - {None, module}
        for module, text in sources.items()
    }


def room_of(module: str) -> str:
    """Return the room of a module: a package or module right under `ncodec`, or a whole package."""
    parts = module.removesuffix(".__init__").split(".")
    return ".".join(parts[:2]) if parts[0] == "ncodec" else parts[0]


def breaches(sources: dict[str, str]) -> list[str]:
    """Say which imports break the order of the floors, or close a circle."""
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    graph = graph_of(sources)
    wrong = [f"{room_of(m)} has no floor" for m in graph if room_of(m) not in floor]
    wrong += [
        f"{module} imports {target}"
        for module, targets in graph.items()
        for target in targets
        if room_of(target) != room_of(module)
        and floor.get(room_of(target), 0) >= floor.get(room_of(module), 0)
        and (module, room_of(target)) not in ALLOWED
    ]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        wrong.append(f"a circle: {' <- '.join(error.args[1])}")
    return wrong


def test_rooms_import_from_lower_floors_only() -> None:
    assert breaches(read_sources()) == []
    assert len(ALLOWED) <= 1


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("ncodec.nn.conv", "    from ncodec.codec import compress", "ncodec.nn.conv imports"),
        ("ncodec.models.dac", "    from ncodec_cli import main", "ncodec.models.dac imports"),
        ("ncodec.codec.layout", "    from ncodec import read", "ncodec.codec.layout imports"),
        (
            "ncodec.codec.layout",
            "    import ncodec\n    ncodec.read",
            "ncodec.codec.layout imports",
        ),
        ("ncodec.audio.pcm", "    import ncodec.metrics.rate", "ncodec.audio.pcm imports"),
        ("ncodec_formats.wire", "    from ncodec import errors", "ncodec_formats.wire imports"),
        ("ncodec_formats.wire", "    from . import header", "a circle"),
        ("ncodec.bench.codecs", "    from ncodec.bench.found import find", "a circle"),
    ],
)
def test_a_rule_that_is_broken_is_told(module: str, line: str, said: str) -> None:
    sources = read_sources()
    sources[module] += f"\n\ndef wrong():\n{line}\n"
    assert any(text.startswith(said) for text in breaches(sources))
    sources = read_sources()
    sources[module] += f"\n\nif TYPE_CHECKING:\n{line}\n"
    assert breaches(sources) == []


def test_a_new_room_needs_a_floor() -> None:
    assert "ncodec.attic has no floor" in breaches({**read_sources(), "ncodec.attic": ""})


FOR_READING = {"ncodec.nn", "ncodec.quantize", "ncodec.streaming"}
TRICK = re.compile(
    r"(?:threading|concurrent|multiprocessing|functools\.(?:cache|lru_cache|cached_property)"
    r"|torch\.(?:ops|_C)|torch\._\w+)(?:\.|$)"
)
"""Threads, caches and what PyTorch does not promise to keep."""


def tricks(sources: dict[str, str]) -> set[tuple[str, str]]:
    """Say which modules that are for reading hold what belongs to `kernels`."""
    return {
        (module, name)
        for module, text in sources.items()
        if room_of(module) in FOR_READING
        for name in {*imports_of(module, text), *re.findall(r"\btorch\.[\w.]+", code_of(text))}
        if TRICK.match(name)
    }


def code_of(text: str) -> str:
    """Return a module's code without comments and docstrings."""
    return re.sub(r'"""[\s\S]*?"""', "", ast.unparse(ast.parse(text)))


def test_layers_can_be_read_without_a_thread_cache_or_private_operator() -> None:
    sources = read_sources()
    assert {module for module, _ in tricks(sources)} == {"ncodec.streaming.overlap"}
    for line in ("import threading", "from functools import cache", "y = torch.ops.mkldnn.f(x)"):
        module = "ncodec.nn.conv"
        assert len(tricks({module: sources[module] + f"\n{line}\n"})) == 1


def modules_of(package: str, folder: Path) -> list[str]:
    """Name every module below a package, without importing any of them."""
    found = pkgutil.walk_packages([str(folder)], prefix=f"{package}.")
    return [package, *(m.name for m in found if not m.name.endswith("__main__"))]


def loaded_after(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.strip().splitlines()[-1]))


def import_all(package: str, folder: Path) -> str:
    return "import importlib\n" + "\n".join(
        f"importlib.import_module({name!r})" for name in modules_of(package, folder)
    )


def test_formats_never_load_torch_or_the_library() -> None:
    loaded = loaded_after(import_all("ncodec_formats", ROOT / "formats" / "ncodec_formats"))
    assert "ncodec_formats.reader" in loaded
    assert not loaded & {"torch", "ncodec", "ncodec_cli", "click", "sounddevice"}


def test_library_never_loads_click_or_a_sound_device() -> None:
    loaded = loaded_after(import_all("ncodec", ROOT / "ncodec"))
    assert "ncodec.codec" in loaded
    assert not loaded & {"click", "ncodec_cli", "sounddevice", "rich", "matplotlib", "torchaudio"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["info", "--help"], ["compress", "--help"]]
)
def test_help_needs_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from ncodec_cli.main import main\n"
        f"sys.argv = ['ncodec', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code, e.code\n"
    )
    assert "torch" not in loaded_after(code)


def third_party_imports(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Return the packages from outside that a file imports: at its top, and anywhere."""
    own = {"ncodec", "ncodec_cli", "ncodec_formats"} | set(sys.stdlib_module_names)

    def packages(nodes: Iterable[ast.AST]) -> set[str]:
        names: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
        return names - own

    return packages(tree.body), packages(ast.walk(tree))


def test_every_import_is_a_declared_dependency() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]

    def modules(requirements: list[str]) -> set[str]:
        names = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in requirements}  # type: ignore[index]
        other = {"pyyaml": "yaml", "visqol_python": "visqol"}
        return {other.get(name, name) for name in names}

    required = modules(project["dependencies"])
    extras = modules([r for lines in project["optional-dependencies"].values() for r in lines])
    for folder in ("ncodec", "ncodec_cli", "formats/ncodec_formats"):
        for path in (ROOT / folder).rglob("*.py"):
            top, anywhere = third_party_imports(ast.parse(path.read_text(encoding="utf-8")))
            assert top <= required, f"{path}: {top - required} must be a dependency"
            assert anywhere <= required | extras, f"{path}: {anywhere - required - extras}"
