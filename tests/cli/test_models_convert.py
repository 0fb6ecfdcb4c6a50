"""The commands models and convert, and compress into other tools' files, with tiny models."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ncodec.checkpoints import registry
from ncodec.checkpoints.exports import export_model
from ncodec.checkpoints.model_file import save
from ncodec.config import DacConfig, EncodecConfig, EncodecLMConfig
from ncodec.models.dac import DacModel
from ncodec.models.encodec import EncodecModel
from ncodec.models.encodec_lm import EncodecLM
from ncodec_cli.main import main
from ncodec_formats.foreign.dac import read_dac, write_dac

DAC = DacConfig(16000, 4, (2, 4), 16, 16, 2, 16, 4)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Run a command line in a folder with checkpoints, sound and a cache folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    (tmp_path / "cache/models").mkdir(parents=True)
    save(EncodecModel(EncodecConfig(filters=2), "encodec_24khz"), stored("encodec_24khz"))
    lm = EncodecLM(EncodecLMConfig(dim=16, layers=1, heads=2), "encodec_lm_24khz")
    save(lm, stored("encodec_lm_24khz"))
    save(DacModel(DAC, "tinydac"), "tinydac.safetensors")
    export_model("./tinydac.safetensors", "site", "dac")
    noise = np.random.default_rng(0).normal(0, 0.1, 12345)
    soundfile.write("in.wav", noise, 24000)
    capfd.readouterr()

    def call(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def stored(name: str) -> Path:
    return Path("cache/models") / f"{name}.safetensors"


def test_list_and_show(run) -> None:
    status, out, _ = run("models", "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0
    assert [rows[n]["here"] for n in ("ncodec_24khz", "encodec_24khz", "mimi")] == [
        True,
        True,
        False,
    ]
    assert rows["mimi"]["licence"] == "CC-BY 4.0"
    assert "encodec_48khz" in run("models", "list")[1]
    shown = json.loads(run("models", "show", "mimi", "--json")[1])
    assert shown["config"]["codebooks"] == 32
    assert "kyutai/mimi" in shown["sources"][0]
    assert "licence" in run("models", "show", "encodec_24khz")[1]
    status, _, err = run("models", "show", "nothing")
    assert (status, err.count("\n")) == (1, 1)
    assert "unknown model 'nothing'; here: " in err


def test_import_use_export(run) -> None:
    status, _, err = run("models", "import", "site/weights.pth")
    assert status == 1
    assert "--name" in err
    status, _, err = run("models", "import", "site/weights.pth", "--name", "mine")
    assert status == 0
    assert "DAC (descript-audio-codec); kept as mine" in err
    assert run("models", "import", "site/weights.pth", "--name", "mine")[0] == 1
    assert run("models", "import", "site/weights.pth", "--name", "mine", "--force")[0] == 0
    assert run("compress", "in.wav", "a.ecdc", "--model", "mine", "--codebooks", "1")[0] == 0
    assert run("decompress", "a.ecdc", "b.wav")[0] == 0
    assert soundfile.info("b.wav").frames == 12345
    assert run("models", "export", "mine", "out")[0] == 0
    assert {p.name for p in Path("out").iterdir()} == {
        "model.safetensors",
        "config.json",
        "preprocessor_config.json",
        "README.md",
    }
    assert json.loads(Path("out/preprocessor_config.json").read_text())["sampling_rate"] == 16000
    assert Path("out/README.md").read_text().startswith("---\nlicense: other\nlibrary_name: ")
    assert run("models", "export", "mine", "out")[0] == 1
    assert run("models", "export", "mine", "o2", "--layout", "encodec")[0] == 1


def test_a_file_of_a_model_that_is_here_by_another_name_or_not_at_all(run) -> None:
    save(DacModel(DAC, "my_voice"), "trained.safetensors")
    model = ("--model", "trained.safetensors", "--codebooks", 1)
    assert run("compress", "in.wav", "a.ecdc", *model)[0] == 0
    status, _, err = run("decompress", "a.ecdc", "a.wav")
    assert (status, err.count("\n")) == (1, 1)
    assert "a.ecdc: made with weights " in err
    assert (
        " named 'my_voice', which are not on this machine: --model FILE, or `ncodec models" in err
    )
    assert run("decompress", "a.ecdc", "a.wav", "--model", "trained.safetensors")[0] == 0
    status, _, err = run("models", "import", "trained.safetensors", "--name", "other")
    assert (status, "kept as other" in err) == (0, True)
    assert run("decompress", "a.ecdc", "b.wav")[0] == 0
    # A stranger of that name does not stand in the way.
    save(DacModel(DAC, "my_voice"), stored("my_voice"))
    assert run("decompress", "a.ecdc", "c.wav")[0] == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes() == Path("c.wav").read_bytes()


def test_import_refuses_hostile_and_foreign_files(run) -> None:
    Path("x.pth").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    status, _, err = run("models", "import", "x.pth", "--name", "x")
    assert (status, err.count("\n")) == (1, 1)
    assert not Path("ran").exists()
    Path("y.pth").write_text("hello")
    assert run("models", "import", "y.pth", "--name", "y")[0] == 1


def test_a_damaged_model_does_not_end_the_list(run) -> None:
    stored("broken").write_bytes(b"no model")
    status, out, err = run("models", "list")
    assert (status, err) == (0, "")
    assert "broken            here   unknown       cannot be read" in out
    assert run("models", "rm", "broken")[0] == 0


def test_models_are_taken_off_again(run) -> None:
    status, _, err = run("models", "rm", "facebook/encodec_24khz")
    assert (status, "encodec_24khz: removed, " in err) == (0, True)
    assert not stored("encodec_24khz").exists()
    for name, said in (
        ("encodec_24khz", "encodec_24khz is not on this machine"),
        ("ncodec_24khz", "comes with the package"),
        ("./tinydac.safetensors", "removed by their names"),
        ("encodec_lm_24hz", "did you mean 'encodec_lm_24khz'?"),
    ):
        status, _, err = run("models", "rm", name)
        assert (status, said in err, err.count("\n")) == (1, True, 1)
    assert Path("tinydac.safetensors").exists()


def test_pull_that_fails_says_each_source_and_the_way_out(run, monkeypatch) -> None:
    sources = tuple(registry.Source(f"file:///nowhere/{name}") for name in ("a.pth", "b.pth"))
    entry = registry.Entry("tiny", "dac", "for tests", "MIT", DAC.to_dict(), sources)
    monkeypatch.setitem(registry.REGISTRY, "tiny", entry)
    status, _, err = run("models", "pull", "tiny")
    first, second, last = err.splitlines()
    assert status == 1
    assert first.startswith("ncodec: file:///nowhere/a.pth: cannot be reached")
    assert second.startswith("ncodec: file:///nowhere/b.pth: cannot be reached")
    assert last == (
        "ncodec: error: tiny: no source gave it; download the file elsewhere and "
        "`ncodec models import FILE`, or name a --mirror that has it"
    )


def test_pull(run, monkeypatch: pytest.MonkeyPatch) -> None:
    url = Path("site/weights.pth").resolve().as_uri()
    entry = registry.Entry(
        "tiny", "dac", "for tests", "MIT", DAC.to_dict(), (registry.Source(url),)
    )
    monkeypatch.setitem(registry.REGISTRY, "tiny", entry)
    status, _, err = run("models", "pull", "tiny")
    assert status == 0
    assert "licence of the weights: MIT; SHA-256 " in err
    Path("site/weights.pth").unlink()
    assert run("models", "pull", "tiny", "-q") == (0, "", "")


def test_convert_every_way(run) -> None:
    hub = ("--model", "facebook/encodec_24khz", "--bw", "3")
    assert run("compress", "in.wav", "a.ecdc", *hub)[0] == 0
    status, _, err = run("convert", "a.ecdc", "zero.ecdc", "--to", "encodec")
    assert status == 0
    assert ".ecdc version 1 to .ecdc version 0; left out: the name of the weights" in err
    assert run("convert", "zero.ecdc", "lm.ecdc", "--to", "encodec", "--lm")[0] == 0
    assert run("convert", "lm.ecdc", "plain.ecdc", "--to", "encodec")[0] == 0
    assert run("convert", "plain.ecdc", "codes.npz")[0] == 0
    assert run("convert", "codes.npz", "codes.safetensors")[0] == 0
    assert run("convert", "codes.safetensors", "b.ecdc")[0] == 0
    assert Path("plain.ecdc").read_bytes() == Path("zero.ecdc").read_bytes()
    assert Path("lm.ecdc").read_bytes() != Path("zero.ecdc").read_bytes()
    for name in ("a.ecdc", "zero.ecdc", "lm.ecdc", "codes.npz", "b.ecdc"):
        assert run("decompress", name, f"{name}.wav")[0] == 0
    for name in ("a.ecdc", "zero.ecdc", "codes.npz"):
        assert run("decompress", name, f"{name}.part.wav", "--start", "0.2", "--end", "0.4")[0] == 0
    parts = [soundfile.read(f"{name}.part.wav")[0] for name in ("a.ecdc", "zero.ecdc", "codes.npz")]
    assert len(parts[0]) == 4800
    assert np.array_equal(parts[0], parts[1])
    assert np.array_equal(parts[0], parts[2])
    sounds = {Path(f"{name}.wav").read_bytes() for name in ("a.ecdc", "lm.ecdc", "codes.npz")}
    assert len(sounds) == 1
    assert np.load("codes.npz")["codes"].shape == (1, 4, 39)


def test_convert_says_what_cannot_be(run) -> None:
    run("compress", "in.wav", "a.ecdc", "--model", "encodec_24khz", "--codebooks", "1")
    for args, said in (
        (("a.ecdc", "b.ecdc"), "is ecdc already"),
        (("a.ecdc", "b.ecdc", "--entropy", "auto"), "no tables that predict the codes"),
        (("a.ecdc", "b.npz", "--entropy", "none"), "for .ecdc version 1"),
        (("a.ecdc", "b.dac"), "codes of DAC only"),
        (("a.ecdc", "b.xyz"), "its name must end in"),
        (("a.ecdc", "b.ecdc", "--lm"), "LM coding is for .ecdc version 0"),
        (("in.wav", "b.ecdc"), "no file of codes"),
    ):
        status, _, err = run("convert", *args)
        assert status == 1
        assert said in err
        assert not Path(args[1]).exists()
    Path("a.ecdc").write_bytes(Path("a.ecdc").read_bytes()[:-40])
    assert run("convert", "a.ecdc", "c.npz")[0] == 1
    assert not Path("c.npz").exists()


def test_plain_codes_of_a_model(run) -> None:
    """What a language model over codes would give: integers [K, F], nothing else."""
    np.savez("mine.npz", codes=np.random.default_rng(0).integers(0, 1024, (8, 20)))
    assert "which model its codes are of: --model NAME" in run("convert", "mine.npz", "a.ecdc")[2]
    assert run("convert", "mine.npz", "a.ecdc", "--model", "facebook/encodec_24khz")[0] == 0
    assert '"model": "encodec_24khz"' in run("info", "a.ecdc", "--json")[1]
    assert run("decompress", "a.ecdc", "a.wav")[0] == 0
    assert soundfile.info("a.wav").frames == 20 * 320
    np.savez("bad.npz", codes=np.full((8, 20), 1024))
    status, _, err = run("convert", "bad.npz", "b.ecdc", "--model", "encodec_24khz")
    assert (status, "outside its codebook" in err) == (1, True)


def test_compress_into_other_tools_files(run) -> None:
    status, _, err = run("compress", "in.wav", "a.ecdc", "--format", "encodec", "--bw", "6")
    assert status == 0, err
    data = Path("a.ecdc").read_bytes()
    assert data[9:].startswith(b'{"m": "encodec_24khz", "al": 12345, "nc": 8, "lm": false}')
    assert len(data) == 9 + 57 + 8 * 39 * 10 // 8
    for command in (("info", "a.ecdc"), ("verify", "a.ecdc"), ("decompress", "a.ecdc", "a.wav")):
        assert run(*command)[0] == 0
    assert soundfile.info("a.wav").frames == 12345
    Path("cut.ecdc").write_bytes(data[:-1])
    assert run("verify", "cut.ecdc")[0] == 1
    assert run("decompress", "cut.ecdc", "cut.wav")[0] == 1
    status, _, err = run("decompress", "cut.ecdc", "cut.wav", "--keep-going")
    assert "cut short" in err
    run("models", "import", "site/weights.pth", "--name", "mine")
    assert run("compress", "in.wav", "b.dac", "--format", "dac", "--model", "mine")[0] == 0
    with Path("b.dac").open("rb") as file:
        dac = read_dac(file)
    assert (dac.original_length, dac.sample_rate, dac.padding) == (12345, 24000, True)
    assert run("decompress", "b.dac", "b.wav", "--model", "mine")[0] == 0
    assert soundfile.info("b.wav").frames == 12345
    ours, source = soundfile.read("b.wav")[0], soundfile.read("in.wav")[0]
    assert ours.shape == source.shape
    with Path("loud.dac").open("wb") as file:
        write_dac(file, replace(dac, input_db=(dac.input_db[0] + 6.0,)))
    assert run("decompress", "loud.dac", "loud.wav", "--model", "mine")[0] == 0
    gain = np.abs(soundfile.read("loud.wav")[0]).max() / np.abs(ours).max()
    assert gain == pytest.approx(10 ** (6 / 20), rel=1e-2)
    assert run("info", "b.dac")[0] == 0
    assert run("verify", "b.dac")[0] == 0
