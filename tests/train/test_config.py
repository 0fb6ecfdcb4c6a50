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
        ("optim.steps=many", "optim.steps = 'many': must be a whole number"),
        ("optim.steps=true", "optim.steps = True: must be a whole number"),
        ("data=3", "data: must be a section"),
        ("data.sources=folder", "data.sources = 'folder': must be a list"),
        ("data.kinds=3", "data.kinds = 3: must be a table"),
        ("output=", "output = '': must be the name of a folder"),
        ("output=3", "output = 3: must be text"),
        ("model.name=a/b", "model.name = 'a/b': must be up to 100 letters"),
        ("optim.steps=" + "[" * 4000 + "]" * 4000, "nested too deeply"),
        ("seed", "must be key=value"),
        ("optim.steps=false", "optim.steps = False: must be a whole number"),
        ("data.kinds.speech=much", "data.kinds.speech = 'much': must be a number"),
        ("optim.betas=[0.9]", r"optim.betas = \[0.9\]: must be 2 values"),
        ("data.batch=0", "data.batch = 0: must be at least 1"),
        ("data.seconds=nan", "data.seconds = nan: must be above 0"),
        ("data.seconds=inf", "data.seconds = inf: must be above 0"),
        ("data.mix=1.5", "data.mix = 1.5: must be 0 to 1"),
        ("data.gain_mean_db=nan", "data.gain_mean_db = nan: must be a finite number"),
        ("data.kinds={speech=0}", "data.kinds = {'speech': 0.0}: must be at least 0 each, and not"),
        ("optim.steps=0", "optim.steps = 0: must be at least 1"),
        ("optim.minutes=-1", "optim.minutes = -1.0: must be above 0"),
        ("optim.lr=-1", "optim.lr = -1.0: must be above 0"),
        ("optim.betas=[0.9, 1]", r"optim.betas = \(0.9, 1.0\): must be at least 0 and below 1"),
        ("optim.scales.encoder=-1", "optim.scales = {'encoder': -1.0}: must be at least 0, each"),
        ("optim.ema=1", "optim.ema = 1.0: must be at least 0 and below 1"),
        ("optim.precision=int4", "optim.precision = 'int4': must be one of float32, bfloat16"),
        ("quantizer.counts=[8, 0]", r"quantizer.counts = \(8, 0\): must be at least 1, each"),
        ("adversarial.loss=l1", "adversarial.loss = 'l1': must be one of hinge, hinge2, mse"),
        ("adversarial.every=0", "adversarial.every = 0: must be at least 1"),
        ("report.every=0", "report.every = 0: must be at least 1"),
        ("report.checkpoint_minutes=0", "report.checkpoint_minutes = 0.0: must be above 0"),
        ("report.kbps=[6, -1]", r"report.kbps = \(6.0, -1.0\): must be above 0, each"),
        ("losses.mel=nan", "losses = {'mel': nan}: must be above 0, each"),
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
    assert load_config(RECIPES / f"{recipe}.toml").optim.steps > 0
