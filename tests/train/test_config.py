from pathlib import Path

import pytest

from ncodec.errors import ArgumentError
from ncodec.train import RECIPES
from ncodec.train.config import TrainConfig, load_config


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_changes_override_the_file_with_toml_values_or_bare_words(tmp_path):
    path = write(tmp_path, '[optim]\nlr = 1e-3\n[data]\nsources = ["a"]')
    changes = ("optim.lr=2", "data.sources=['b', 'c']", "output=here", "optim.scales.encoder=0.5")
    config = load_config(path, changes)
    assert config.optim.lr == 2.0
    assert isinstance(config.optim.lr, float)
    assert config.data.sources == ("b", "c")
    assert config.output == "here"
    assert config.optim.scales == {"encoder": 0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optim.learning_rate=1", "optim.learning_rate: no such setting"),
        ("optim.steps=many", "optim.steps = 'many': must be int"),
        ("optim.steps=true", "optim.steps = True: must be int"),
        ("data=3", "data: must be a section"),
        ("data.sources=folder", "data.sources = 'folder'"),
        ("seed", "must be key=value"),
        ("seed.more=1", "seed is not a section"),
    ],
)
def test_wrong_settings_say_what_is_wrong(tmp_path, change, message):
    path = write(tmp_path, "seed = 1")
    with pytest.raises(ArgumentError, match=message.replace(".", r"\.")):
        load_config(path, (change,))


def test_a_file_that_is_not_toml(tmp_path):
    with pytest.raises(ArgumentError, match="not a TOML file"):
        load_config(write(tmp_path, "[optim"))


def test_what_a_checkpoint_keeps_gives_the_same_run(config):
    assert TrainConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("recipe", sorted(p.stem for p in RECIPES.glob("*.toml")))
def test_recipes_load(recipe):
    assert load_config(RECIPES / f"{recipe}.toml").losses
