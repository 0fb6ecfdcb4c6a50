"""Which model a name means, what is said of one that is not known, and what may bear a name."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ncodec.checkpoints import canonical, find, import_model, lookup, read_model_info, registry
from ncodec.checkpoints.fetch import file_sha256
from ncodec.checkpoints.model_file import save
from ncodec.config import DacConfig, SpectralConfig
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.models.dac import DacModel
from ncodec.models.spectral import SpectralCodec

TINY = DacConfig(16000, 4, (2, 4), 16, 16, 2, 16, 4)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("hub_name", "name"),
    [
        ("facebook/encodec_24khz", "encodec_24khz"),
        ("descript/dac_44khz", "dac_44khz"),
        ("kyutai/mimi", "mimi"),
        ("Facebook/EnCodec_48kHz", "encodec_48khz"),
        ("https://huggingface.co/kyutai/mimi/", "mimi"),
        ("encodec_24khz", "encodec_24khz"),
        ("someone/else", "someone/else"),
        ("", ""),
    ],
)
def test_names_of_the_hub(hub_name: str, name: str) -> None:
    assert canonical(hub_name) == name


def test_a_name_of_the_hub_finds_the_model() -> None:
    save(DacModel(TINY), kept := stored("encodec_24khz"))
    assert find("facebook/encodec_24khz") == kept
    with pytest.raises(CheckpointError, match=r"^mimi is not on this machine: `ncodec models pull"):
        find("kyutai/mimi")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ncodec_24hz", "ncodec_24khz"),
        ("encodec-48khz", "encodec_48khz"),
        ("encodec", "encodec_24khz"),
        ("facebook/encodec24khz", "facebook/encodec_24khz"),
    ],
)
def test_unknown_names_get_the_nearest_and_what_is_here(name: str, meant: str) -> None:
    save(DacModel(TINY), stored("mine"))
    for call in (find, lookup):
        with pytest.raises(CheckpointError) as raised:
            call(name)
        assert f"unknown model {name!r}: did you mean {meant!r}?; " in str(raised.value)
        assert "here: ncodec_24khz, mine (" in str(raised.value)


def test_paths_that_lead_nowhere() -> None:
    Path("folder").mkdir()
    for path, said in (
        ("runs/no.safetensors", "no such model file"),
        ("./no", "no such model file"),
        ("./folder", "is a folder; `ncodec models import ./folder`"),
    ):
        with pytest.raises(CheckpointError, match=said):
            find(path)


def test_only_the_published_file_gets_the_name_and_licence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file of the same shape may be anything."""
    from ncodec.checkpoints import export_model

    torch.manual_seed(0)
    save(DacModel(TINY, "own"), "own.safetensors")
    file = export_model("./own.safetensors", "out", "dac")[0]
    entry = registry.Entry("tiny", "dac", "for tests", "CC0", TINY.to_dict())
    source = registry.Source("https://models.invalid/tiny.pth", "00" * 32)
    monkeypatch.setitem(registry.REGISTRY, "tiny", with_sources(entry, source))
    with pytest.raises(
        ArgumentError, match=r"has the shape of tiny, .* needs a name \(name=NAME\)"
    ):
        import_model(file)
    info = import_model(file, "tiny").info
    assert (info.name, info.licence, info.is_published) == ("tiny", "unknown", False)
    source = registry.Source("https://models.invalid/tiny.pth", file_sha256(file)[:8])
    monkeypatch.setitem(registry.REGISTRY, "tiny", with_sources(entry, source))
    info = import_model(file, force=True).info
    assert (info.name, info.licence, info.is_published) == ("tiny", "CC0", True)
    assert read_model_info(find("tiny")) == info


def with_sources(entry: registry.Entry, *sources: registry.Source) -> registry.Entry:
    return registry.Entry(
        entry.name, entry.family, entry.summary, entry.licence, entry.config, sources
    )


def test_our_own_files_have_their_names_in_them() -> None:
    model = DacModel(TINY, "my_voice")
    save(model, "trained.safetensors", licence="CC0")
    info = import_model("trained.safetensors").info
    assert (info.name, info.licence) == ("my_voice", "CC0")
    assert import_model("trained.safetensors", "other").info.name == "other"


def test_the_name_of_the_model_in_the_package_stays_its_own() -> None:
    model = SpectralCodec(SpectralConfig(), "ncodec_24khz")
    save(model, "trained.safetensors")
    with pytest.raises(ArgumentError, match=r"calls itself ncodec_24khz.*\(name=NAME\)"):
        import_model("trained.safetensors")
    with pytest.raises(ArgumentError, match="comes with the package"):
        import_model("trained.safetensors", "ncodec_24khz")


@pytest.mark.parametrize(
    ("name", "content"),
    [("talk.wav", b"RIFF$\0\0\0WAVEfmt "), ("a.txt", b"Not a model."), ("e", b"")],
)
def test_what_is_no_checkpoint_is_said_plainly(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^{name}: no checkpoint: neither safetensors nor"):
        import_model(name)


def test_listing_and_completing_need_no_torch() -> None:
    code = (
        "import sys\n"
        "from ncodec_cli.commands import cli\n"
        "from click.shell_completion import ShellComplete\n"
        "cli.main(['models', 'list'], 'ncodec', standalone_mode=False)\n"
        "complete = ShellComplete(cli, {}, 'ncodec', '_').get_completions\n"
        "print([i.value for i in complete(['compress', 'a.wav', '--model'], 'nc')])\n"
        "print([i.value for i in complete(['models', 'pull'], 'enc')])\n"
        "print('torch' in sys.modules)\n"
    )
    save(DacModel(TINY), stored("nchelpful"))
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *listed, models, pulled, heavy = ran.stdout.splitlines()
    assert max(map(len, listed)) <= 80
    assert "CC-BY-NC 4.0" in ran.stdout
    assert models == "['ncodec_24khz', 'nchelpful']"
    assert "'encodec_24khz', 'encodec_48khz'" in pulled
    assert heavy == "False"


def stored(name: str) -> Path:
    path = Path("cache/models").resolve() / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize(
    "line", ["compress a.wav b.ecdc --model ncodec_24hz", "decompress a.ecdc b.wav --model mimi"]
)
def test_a_model_that_is_not_here_is_said_before_torch_is_loaded(line: str) -> None:
    Path("a.wav").write_bytes(b"RIFF")
    Path("a.ecdc").write_bytes(b"ECDC\1")
    code = (
        "import sys\n"
        "from ncodec_cli.commands import cli\n"
        f"try: cli.main({line.split()!r}, 'ncodec', standalone_mode=False)\n"
        "except Exception as error: print(error)\n"
        "print('torch' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, loaded = ran.stdout.splitlines()
    assert said.startswith(("unknown model 'ncodec_24hz': did you mean", "mimi is not on this"))
    assert loaded == "False"
