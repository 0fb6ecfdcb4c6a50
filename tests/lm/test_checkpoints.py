"""AudioCraft's and Hugging Face's checkpoints: what is read, what is refused by name."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from ncodec import checkpoints
from ncodec.checkpoints import export_model, import_model
from ncodec.checkpoints.registry import REGISTRY, canonical
from ncodec.errors import CheckpointError, NcodecError
from ncodec.lm import GenModel, load_generator
from ncodec.models.lm_config import LMConfig
from tests.lm.small import TAGS, TEXT, codec, kept, lm
from tests.oracle.reference import assert_close


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model as AudioCraft has it: two files."""
    checkpoints.save(codec(), tmp_path / "c.safetensors", licence="MIT")
    import_model(tmp_path / "c.safetensors", "small-codec")
    checkpoints.save(lm(), tmp_path / "m.safetensors", licence="CC-BY-NC 4.0")
    export_model(tmp_path / "m.safetensors", tmp_path / "ac", "audiocraft")
    return tmp_path / "ac"


def changed(folder: Path, *, state=None, **settings) -> Path:
    """Change the settings of a checkpoint; with dots, those within a block."""
    file = folder / "state_dict.bin"
    content = torch.load(file, weights_only=True)
    values = yaml.safe_load(content["xp.cfg"])
    for name, value in settings.items():
        *blocks, last = name.split("__")
        place = values
        for block in blocks:
            place = place.setdefault(block, {})
        place[last] = value
    content["xp.cfg"] = yaml.safe_dump(values)
    content["best_state"] |= state or {}
    torch.save(content, file)
    return folder


def test_two_files_of_a_folder(folder: Path) -> None:
    done = import_model(folder, "taken")
    assert done.layout.startswith("AudioGen or MusicGen")
    made = load_generator("taken")
    config = made.lm.config
    assert (config.dim, config.heads, config.layers, config.bins) == (32, 2, 2, 32)
    assert (config.sample_rate, config.hop, config.window, config.style) == (
        16000,
        320,
        0.8,
        "sound",
    )
    assert (config.text_encoder, config.text_width) == ("t5-base", 24)
    own = lm().state_dict()
    assert all(torch.equal(value, own[key]) for key, value in made.lm.state_dict().items())
    codes = torch.randint(32, (1, 4, 9))
    assert_close(made.generate_audio(codes), codec().decode(codes))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_and_other_forms(folder: Path, kind: torch.dtype) -> None:
    """Exports in half precision, of a trainer, and of torch's own attention."""
    content = torch.load(folder / "state_dict.bin", weights_only=True)
    state = {
        key.replace("self_attn.", "self_attn.mha."): value.to(kind)
        for key, value in content["best_state"].items()
    }
    del content["version"], content["exported"]
    content["best_state"] = {"model": state}
    torch.save(content, folder / "state_dict.bin")
    import_model(folder, "taken")
    assert load_generator("taken").generate_unconditional(1).shape[0] == 1


def test_a_codec_that_is_only_named(folder: Path) -> None:
    torch.save({"pretrained": "facebook/encodec_32khz"}, folder / "compression_state_dict.bin")
    assert import_model(folder, "taken").codec == "encodec_32khz"
    with pytest.raises(CheckpointError, match="ncodec models pull encodec_32khz"):
        load_generator("taken")


def test_the_codec_alone_is_still_a_codec(folder: Path) -> None:
    done = import_model(folder / "compression_state_dict.bin", "alone")
    assert done.info.family == "encodec"


def test_patterns_of_old_and_new_files(folder: Path) -> None:
    changed(folder, codebooks_pattern={"modeling": None}, transformer_lm__q_modeling="delay")
    assert import_model(folder, "a").info.config["delays"] == [0, 1, 2, 3]
    changed(
        folder,
        codebooks_pattern={"modeling": "unroll", "unroll": {"flattening": [0, 1, 1, 1]}},
    )
    config = import_model(folder, "b").info.config
    assert (config["pattern"], config["flattening"]) == ("unroll", [0, 1, 1, 1])
    changed(
        folder,
        codebooks_pattern={"modeling": "coarse_first", "coarse_first": {"delays": [0, 1, 2]}},
    )
    assert import_model(folder, "c").info.config["delays"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lm_model": "transformer_lm_magnet"}, "MAGNeT"),
        ({"lm_model": "flow_matching"}, "JASCO"),
        ({"conditioners": {"self_wav": {"model": "chroma_stem"}}}, "MusicGen melody"),
        ({"conditioners": {"self_wav": {"model": "style"}}}, "MusicGen style"),
        ({"conditioners": {"description": {"model": "clap"}}}, "CLAP"),
        ({"fuser": {"prepend": ["self_wav"]}}, "'prepend'"),
        ({"transformer_lm__norm_first": False}, "norm_first False"),
        ({"transformer_lm__positional_embedding": "rope"}, "positional_embedding 'rope'"),
        ({"interleave_stereo_codebooks": {"use": True, "per_timestep": True}}, "turns in time"),
        (
            {
                "state": {
                    "condition_provider.conditioners.self_wav.output_proj.weight": torch.ones(1)
                }
            },
            "MusicGen melody",
        ),
        ({"state": {"transformer.layers.0.linear1.bias": torch.ones(64)}}, "do not fit"),
    ],
)
def test_what_is_refused_by_name(folder: Path, settings, said: str) -> None:
    with pytest.raises(CheckpointError, match=said) as told:
        import_model(changed(folder, **settings), "other")
    assert "\n" not in str(told.value)
    assert "state_dict.bin" in str(told.value) or "do not fit" in said
    assert checkpoints.stored_names() == ["small-codec"]


def test_no_pickle_is_run(folder: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"best_state": {"emb.0.weight": Evil()}}, folder / "state_dict.bin")
    with pytest.raises(CheckpointError, match="refused"):
        import_model(folder, "other")
    torch.save({"best_state": {"emb.0.weight": torch.ones(1)}}, folder / "state_dict.bin")
    with pytest.raises(CheckpointError, match=r"xp\.cfg"):
        import_model(folder, "other")


def test_a_codec_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="of 64; small-codec has them of 32"):
        GenModel(lm(replace(TEXT, bins=64)), codec())
    checkpoints.save(codec(), tmp_path / "c.safetensors")
    with pytest.raises(NcodecError, match="is no language model that generates"):
        load_generator(tmp_path / "c.safetensors")


def broken(plain):
    """Import as with a transformers that raises."""

    def load(name, *args, **kwargs):
        if name.startswith("transformers"):
            raise OSError("Could not load this library: torchaudio.so")
        return plain(name, *args, **kwargs)

    return load


def test_text_that_nobody_reads_here(folder: Path, monkeypatch, cache: Path) -> None:
    import_model(folder, "taken")
    made = load_generator("taken")
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    with pytest.raises(CheckpointError, match="hf download google-t5/t5-base"):
        made.generate(["rain"])
    monkeypatch.delitem(sys.modules, "transformers")
    monkeypatch.setattr("builtins.__import__", broken(__import__))
    with pytest.raises(NcodecError, match="transformers does not load here"):
        made.generate(["rain"])
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NcodecError, match=r"pip install transformers"):
        made.generate(["rain"])


def test_known_models() -> None:
    """Names of the hub, sizes as the model cards have them, the licence that forbids sale."""
    assert canonical("facebook/audiogen-medium") == "audiogen-medium"
    assert canonical("facebook/musicgen-stereo-large") == "musicgen-stereo-large"
    models = [entry for entry in REGISTRY.values() if entry.family == "lm"]
    assert len(models) == 7
    for entry in models:
        assert entry.licence == "CC-BY-NC 4.0"
        assert entry.needs[0] in REGISTRY
        assert entry.sources[0].url.endswith(f"facebook/{entry.name}/resolve/main/state_dict.bin")
        assert set(entry.config) <= set(LMConfig.__dataclass_fields__)


def test_a_published_models_shape_has_its_licence(folder: Path, monkeypatch) -> None:
    sizes = {"dim": 32, "layers": 2, "codebooks": 4, "bins": 32, "channels": 1}
    entry = replace(REGISTRY["audiogen-medium"], config=sizes)
    monkeypatch.setitem(REGISTRY, "audiogen-medium", entry)
    done = import_model(folder, "mine")
    assert done.info.licence == "CC-BY-NC 4.0 (as audiogen-medium, whose shape it has)"
    assert import_model(folder, "free", licence="MIT").info.licence == "MIT"
    with pytest.raises(NcodecError, match="has the shape of audiogen-medium"):
        import_model(folder)


def test_pull_brings_the_codec(folder: Path, monkeypatch) -> None:
    config = REGISTRY["encodec_16khz"].config | {"filters": 4, "bins": 32}
    codec_entry = replace(REGISTRY["encodec_16khz"], config=config)
    sizes = {"dim": 32, "layers": 2, "codebooks": 4, "bins": 32, "channels": 1}
    monkeypatch.setitem(REGISTRY, "encodec_16khz", replace(codec_entry, config={"filters": 4}))
    monkeypatch.setitem(
        REGISTRY, "audiogen-medium", replace(REGISTRY["audiogen-medium"], config=sizes)
    )
    info = checkpoints.pull("facebook/audiogen-medium", mirror=str(folder))
    assert (info.licence, info.config["codec"]) == ("CC-BY-NC 4.0", "encodec_16khz")
    assert {"audiogen-medium", "encodec_16khz"} <= set(checkpoints.stored_names())
    assert load_generator("audiogen-medium").licence == "CC-BY-NC 4.0"


def test_a_model_file_of_our_own_keeps_all(tmp_path: Path) -> None:
    place = kept(tmp_path, TAGS)
    import_model(tmp_path / "small-codec.safetensors")
    import_model(place)
    made = load_generator("small")
    assert made.lm.config == TAGS
    made.set_generation_params(duration=0.2)
    assert made.generate(["rain"]).shape == (1, 1, 3200)
    with pytest.raises(CheckpointError, match="no such pattern, position or condition"):
        export_model("small", tmp_path / "out", "hf")
