import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tomli as tomllib
from click.testing import CliRunner

from ncodec.errors import ArgumentError
from ncodec_cli.train import train

RECIPE = """
output = "OUT"
[model]
name = "tiny"
[model.config]
sample_rate = 8000
hop = 80
codebooks = 2
cardinality = 8
latent = 6
envelope = 2
bands = 4
encoder_width = 8
encoder_depth = 1
decoder_width = 8
decoder_depth = 1
[data]
sources = ["AUDIO"]
seconds = 0.3
batch = 2
[optim]
steps = 4
[quantizer]
free_steps = 1
start_batches = 1
[report]
every = 1
validation = 0
tensorboard = false
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "a.wav", 0.1 * rng.standard_normal(8000), 8000)
    text = RECIPE.replace("OUT", str(tmp_path / "run")).replace("AUDIO", str(tmp_path / "audio"))
    (tmp_path / "recipe.toml").write_text(text)
    return tmp_path / "recipe.toml"


def run(*arguments: str):
    return CliRunner().invoke(train, list(arguments), catch_exceptions=False)


def test_a_recipe_trains_a_model_and_a_run_goes_on(recipe):
    result = run(str(recipe), "--set", "optim.steps=3")
    assert result.exit_code == 0
    assert "step 3/3" in result.output
    folder = recipe.parent / "run"
    assert (folder / "model.safetensors").is_file()
    with pytest.raises(ArgumentError, match="holds a run; go on with --resume"):
        run(str(recipe))
    again = run("--resume", str(folder), "--set", "optim.steps=5")
    assert again.exit_code == 0
    assert "step 5/5" in again.output


def examples() -> list[str]:
    lines = [line.strip() for line in (train.help or "").splitlines()]
    return [line for line in lines if line.startswith(("ncodec train", "torchrun"))]


def test_the_examples_of_the_help_run_as_they_stand(recipe, monkeypatch):
    home = recipe.parent
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(home)
    (home / "audio").rename(home / "speech")
    (home / "recipe.toml").write_text(RECIPE.replace("OUT", "runs/r").replace("AUDIO", "~/speech"))
    model = tomllib.loads(RECIPE)["model"]["config"]
    small = [f"model.config.{key}={value}" for key, value in model.items()]
    small += ["quantizer.counts=[]", "data.batch=2"]
    assert len(examples()) == 4
    for steps, example in enumerate(examples(), 1):
        words = shlex.split(example.split(" train ", 1)[1])
        changes = ["report.tensorboard=false", f"optim.steps={steps}"]
        changes += [] if "--resume" in words else small
        words += [word for change in changes for word in ("--set", change)]
        result = run(*words)
        assert result.exit_code == 0, result.output
    assert (home / "runs/ncodec_24khz/model.safetensors").is_file()


def test_usage_is_checked_before_anything_runs(recipe):
    assert run().exit_code == 2
    assert run(str(recipe), "--resume", "x").exit_code == 2
    with pytest.raises(ArgumentError, match=r"no such file, nor a recipe; recipes: .*ncodec_24khz"):
        run("missing.toml")


def test_a_shipped_recipe_is_found_by_its_name(tmp_path):
    with pytest.raises(ArgumentError, match="no audio in"):
        run("ncodec_24khz", "--set", f"data.sources={json.dumps([str(tmp_path)])}")
