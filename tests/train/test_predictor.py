from pathlib import Path

import numpy as np
import pytest
import torch

from ncodec import checkpoints
from ncodec.checkpoints.tables import read_tables
from ncodec.config import EncodecConfig
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.models.encodec import EncodecModel
from ncodec.models.spectral import SpectralCodec
from ncodec.train.config import TrainConfig
from ncodec.train.predictor import Predictor, Shape, codebook_vectors
from ncodec.train.resume import resume
from ncodec.train.tasks.predictor import TABLES_FILE, gather
from ncodec.train.trainer import Trainer
from ncodec_formats.entropy.predictor import Predictor as Integers

from .conftest import MODEL
from .test_trainer import assert_equal, run_steps

CPU = torch.device("cpu")
SHAPE = Shape(4, 16, 12, 6, 10, 2, 2, 2)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    codec = SpectralCodec(SpectralCodec.config_type.from_dict(MODEL), name="tiny").eval()
    path = tmp_path / "tiny.safetensors"
    checkpoints.save(codec, path)
    return path


@pytest.fixture
def predicting(recordings: Path, tmp_path: Path, model: Path) -> TrainConfig:
    return TrainConfig.from_dict(
        {
            "output": str(tmp_path / "predictor"),
            "task": {"name": "predictor"},
            "model": {"start": str(model)},
            "data": {"sources": [str(recordings)], "seconds": 0.5, "batch": 2},
            "predictor": {"width": 6, "units": 10, "own": 2, "minutes": 0.1, "frames": 64},
            "optim": {"steps": 8, "warmup": 2, "lr": 5e-3, "ema": 0.0},
            "report": {"every": 100, "checkpoint": 4, "validation": 0, "tensorboard": False},
        }
    )


def random_codes(shape: Shape, items: int = 3, frames: int = 9) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(shape.entries, size=(items, shape.layers, frames))


def random_predictor(shape: Shape) -> Predictor:
    torch.manual_seed(1)
    entries = torch.randn(shape.layers, shape.entries, shape.dimensions)
    predictor = Predictor(shape, entries)
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return predictor


@pytest.mark.parametrize("own", [0, 2, 4])
def test_rounded_bits_are_those_of_the_integers(own):
    shape = Shape(4, 24, 12, 6, 10, 2, 1, own)
    predictor, codes = random_predictor(shape), random_codes(shape)
    integers = Integers.of(predictor.tables())
    items, layers, frames = codes.shape
    item, frame = (x.ravel() for x in np.mgrid[:items, :frames])
    rows, there = gather(
        codes, item, frame, shape, (np.minimum(2, frame), np.minimum(1, frames - 1 - frame))
    )
    with torch.no_grad():
        found = predictor(rows, there, rounded=True)
    for k in range(layers):
        below = integers.sums(codes[:, :k])
        past = below + integers.embed(k, codes[:, k]) if k < own else below
        context = integers.context(below, past).reshape(items * frames, -1)
        units = integers.units(k, context)
        its = integers.layers[k]
        blocks, places = np.divmod(its.places[codes[:, k].ravel()], its.count)
        bits = 0.0
        for f, symbols in (
            (integers.block_frequencies(k, units), blocks),
            (integers.place_frequencies(k, units, blocks), places),
        ):
            share = f[np.arange(len(f)), symbols] / f.sum(axis=1)
            bits -= np.log2(share).mean()
        # logits are cut to sixteenths of an octave, and no frequency is below 1
        assert float(found[k]) == pytest.approx(bits, abs=0.05)


def test_gradients_are_those_of_the_bits():
    predictor, codes = random_predictor(SHAPE).double(), random_codes(SHAPE)
    frame = np.arange(9)
    rows, there = gather(
        codes, 0 * frame, frame, SHAPE, (np.minimum(2, frame), np.minimum(2, frame[::-1]))
    )
    for parameter in (predictor.entries, predictor.blocks, predictor.inputs, predictor.turn):
        predictor.zero_grad()
        predictor(rows, there, rounded=False, dtype=torch.float64).sum().backward()
        where = int(parameter.grad.abs().argmax())
        slope, flat = float(parameter.grad.flatten()[where]), parameter.data.view(-1)
        values = []
        for step in (1e-3, -2e-3):
            flat[where] += step
            with torch.no_grad():
                bits = predictor(rows, there, rounded=False, dtype=torch.float64)
            values.append(float(bits.double().sum()))
        flat[where] += 1e-3
        assert slope == pytest.approx((values[0] - values[1]) / 2e-3, rel=0.02)


def test_neighbours_beyond_the_packet_are_not_seen():
    codes = random_codes(SHAPE)
    frame = np.arange(9)
    rows, there = gather(
        codes, 0 * frame, frame, SHAPE, (np.minimum(2, frame), np.minimum(2, frame[::-1]))
    )
    assert there[:, 0].all()
    assert there[0].tolist() == [True, False, False, True, True]
    assert there[1].tolist() == [True, True, False, True, True]
    assert there[8].tolist() == [True, True, True, False, False]
    assert np.array_equal(rows[4].numpy(), codes[0][:, [4, 3, 2, 5, 6]].T)


def test_four_steps_and_three_are_seven(predicting):
    straight = Trainer.create(predicting, CPU)
    straight.folder.mkdir()
    run_steps(straight, 4)
    straight.save()
    wanted = run_steps(straight, 3)
    again = resume(predicting.output, CPU)
    assert run_steps(again, 3) == wanted
    assert_equal(again.state(), {**straight.state(), "elapsed": again.elapsed})


def test_a_run_leaves_tables_that_its_model_finds(predicting, model, tmp_path, monkeypatch):
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    trainer = Trainer.create(predicting, CPU)
    trainer.run()
    path = tmp_path / "predictor" / TABLES_FILE
    info, tables = read_tables(path)
    codec = checkpoints.load(model)
    assert (info.model, info.fingerprint) == ("tiny", codec.fingerprint.hex())
    assert (info.layers, tables.sizes) == (4, (16,) * 4)
    assert len(info.notes["bits"]) == 4
    assert checkpoints.tables_for(codec.fingerprint) is None
    checkpoints.keep_tables(path)
    assert checkpoints.tables_for(codec.fingerprint).hash == tables.hash


def test_bits_fall(predicting):
    changed = {**predicting.to_dict(), "optim": {"steps": 30, "warmup": 2, "lr": 3e-2}}
    trainer = Trainer.create(TrainConfig.from_dict(changed), CPU)
    losses = run_steps(trainer, 30)
    first, last = losses[0]["bits"], np.mean([x["bits"] for x in losses[-5:]])
    assert last < 0.8 * first


def test_validation_counts_the_bits_of_packets(predicting, recordings):
    data = {**predicting.to_dict()["data"], "validation": [str(recordings)]}
    config = TrainConfig.from_dict({**predicting.to_dict(), "data": data})
    trainer = Trainer.create(config, CPU)
    run_steps(trainer, 1)
    found = trainer.task.validate(trainer.evaluated())
    assert 0 < found.scores["all/bits"] < 8


def test_latents_of_any_residual_model_are_sums_of_vectors(model):
    vectors = codebook_vectors(checkpoints.load(model), 3)
    assert vectors.shape == (3, 16, 12)
    torch.manual_seed(0)
    encodec = EncodecModel(EncodecConfig(filters=2, lstm_layers=0, latent_dim=100, codebooks=2))
    assert codebook_vectors(encodec.eval(), 2).shape == (2, 1024, 80)


def test_models_without_residual_codebooks_are_refused(model, monkeypatch):
    codec = checkpoints.load(model)
    plain = codec.decode_latent
    monkeypatch.setattr(codec, "decode_latent", lambda codes: plain(codes) ** 2)
    with pytest.raises(ArgumentError, match="tiny: its codebooks are not residual"):
        codebook_vectors(codec, 4)
    codec.codebook_sizes = [16, 8, 16, 16]
    with pytest.raises(ArgumentError, match="codebooks of 8, 16 entries"):
        codebook_vectors(codec, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictor": {"megabytes": 0.0001}}, "predictor.megabytes = 0.0001"),
        ({"optim": {"minutes": 1.0}}, "optim.minutes = 1: a predictor's run ends by optim.steps"),
    ],
)
def test_what_a_predictor_cannot_be_is_told(predicting, change, message):
    config = TrainConfig.from_dict({**predicting.to_dict(), **change})
    with pytest.raises(ArgumentError, match=message):
        Trainer.create(config, CPU)


def test_its_shape_cannot_change(predicting):
    first = Trainer.create(predicting, CPU)
    first.folder.mkdir()
    run_steps(first, 1)
    first.save()
    with pytest.raises(ArgumentError, match=r"predictor\.units = 4: it cannot change any more"):
        resume(predicting.output, CPU, changes=["predictor.units=4"])


def test_units_are_fewer_where_tables_would_be_too_large(predicting):
    changed = {**predicting.to_dict(), "predictor": {"units": 128, "megabytes": 0.016}}
    trainer = Trainer.create(TrainConfig.from_dict(changed), CPU)
    shape = trainer.task.predictor.shape
    assert shape.units % 4 == 0
    assert 8 <= shape.units < 128
    assert shape.table_bytes <= 16000


def test_damaged_tables_are_refused(predicting, tmp_path):
    predictor = random_predictor(SHAPE)
    path = tmp_path / "x.tables"
    checkpoints.write_tables(predictor.tables(), path, model="tiny", fingerprint="00" * 32)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # of the biases of the last entry
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"x.tables: (damaged|the tables are wrong)"):
        read_tables(path)
    path.write_bytes(data[:100])
    with pytest.raises(CheckpointError, match="no tables of ncodec's"):
        read_tables(path)
