"""`ncodec bench generation`: distances are in order, copies and loops found."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import ncodec
from ncodec.bench.code_measures import count_bits, find_copies, loops_a_minute, model_bits
from ncodec.bench.generation import Sources, measure_generation, seam_ratio, to_markdown
from ncodec.bench.sound_sets import Piece, read_pieces
from ncodec.errors import ArgumentError
from ncodec.lm import LMModel
from ncodec.metrics import frechet_distance
from ncodec.models.lm_config import LMConfig
from ncodec_cli.main import main

RATE = 24000


def piece(codes: np.ndarray, name: str = "a", words: str = "") -> Piece:
    return Piece(name, "sound", name, torch.from_numpy(codes), words)


def drawn(frames: int, seed: int, bins: int = 1024) -> np.ndarray:
    return np.random.default_rng(seed).integers(bins, size=(4, frames))


def test_frechet_distance_of_normal_clouds() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 600, 8))
    assert frechet_distance(a, b) < 0.01
    # means that are 1 apart in one of eight directions, of a total variance of 8
    assert frechet_distance(a + np.eye(8)[0], b) == pytest.approx(1 / 8, rel=0.25)
    # deviations 1 and 2: sum of (2 - 1)^2 over the total variance
    assert frechet_distance(2 * a, b) == pytest.approx(1, rel=0.1)
    with pytest.raises(ArgumentError, match="16 rows"):
        frechet_distance(a[:15], b)


def test_copies_are_found_and_chance_is_not() -> None:
    real = [piece(drawn(400, seed), str(seed)) for seed in range(5)]
    stolen = drawn(75, 9)
    stolen[:, 20:60] = real[3].codes[:, 120:160].numpy()
    copied, fresh = (
        find_copies([piece(stolen)], real, 75),
        find_copies([piece(drawn(75, 8))], real, 75),
    )
    assert copied.both == pytest.approx(40 / 75)
    assert copied.run == 40
    assert copied.median >= 40 / 75
    assert fresh.run <= 1
    assert fresh.median < 0.1
    still = np.zeros((4, 75), dtype=np.int64)
    assert find_copies([piece(still)], real, 75).windows == 0  # silence is no copy


def test_loops_are_counted() -> None:
    turn = drawn(50, 1)
    assert loops_a_minute([piece(np.tile(turn, 18))], 75) > 30
    assert loops_a_minute([piece(drawn(900, 2))], 75) == 0


def test_seams_stand_out() -> None:
    codec = ncodec.load_model()
    rng = np.random.default_rng(0)
    # a code of its own between seams
    held = [np.repeat(rng.integers(1024, size=(4, 1)), 75, axis=1) for _ in range(4)]
    noisy = np.concatenate(held, axis=1)
    noisy[3] = rng.integers(1024, size=300)
    assert seam_ratio([piece(noisy)], codec, 1.0) > 2
    assert seam_ratio([piece(drawn(300, 1))], codec, 1.0) == pytest.approx(1, abs=0.35)


def test_bits_of_counts_and_of_a_model() -> None:
    rng = np.random.default_rng(0)
    chain = np.cumsum(rng.integers(1, 3, size=(4, 3000)), axis=1) % 32  # one bit a code
    zero, one = count_bits([piece(chain[:, :500])], [piece(chain[:, 500:])], 32)
    assert zero.codebooks == pytest.approx([5] * 4, abs=0.1)
    assert one.codebooks[0] == pytest.approx(1, abs=0.3)
    assert zero.all == pytest.approx(sum(zero.codebooks))
    torch.manual_seed(0)
    config = LMConfig(
        bins=32, dim=16, heads=2, layers=1, feed_forward=16, position="rope", context=9,
        condition="tags", vocabulary="rain",
    )  # fmt: skip
    model = LMModel(config).eval().requires_grad_(False)
    for head in model.linears:
        head.weight.zero_()  # knows nothing
    found = model_bits(model, [piece(chain[:, :300], words="rain")], told=True)
    assert found.all == pytest.approx(20, abs=1e-3)
    assert found.moving == pytest.approx(20, abs=1e-3)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    rows = list[dict[str, str]]()
    for name, colour in (("near", 1.0), ("real", 1.0), ("far", 0.0)):
        for number in range(4):
            n = 9 * RATE
            slope = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 50) ** (colour + 0.02 * rng.normal())
            x = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) / slope, n)
            path = folder / name / f"sound_{number}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, 0.1 * x / x.std(), RATE)
            rows.append({"path": str(path), "kind": "sound", "speaker_or_piece": str(number)})
    with (folder / "real.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[4:8])
    return folder


def test_near_sound_is_nearer_than_far(sets: Path) -> None:
    sources = Sources([sets / "near"], [sets / "real.csv"], [sets / "far"])
    found = measure_generation(sources, ncodec.load_model())[0]
    near, far = found.distances[:2]
    assert near.latent < far.latent
    assert near.mel < far.mel / 2
    assert near.order < far.order
    assert [d.who for d in found.distances[2:]] == [
        "halves of the real set",
        "its frames in random order",
        "codes drawn by their counts",
    ]
    assert [bits.who for bits in found.bits] == ["order 0", "order 1"]
    text = to_markdown([found])
    assert "| generated |" in text
    assert "## sound" in text


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    return int(ended.value.code or 0)


def test_codes_are_taken_as_they_are(sets: Path, tmp_path: Path) -> None:
    codec = ncodec.load_model()
    assert run("compress", "-q", str(sets / "near"), "-o", str(tmp_path / "coded")) == 0
    coded = read_pieces([tmp_path / "coded"], codec, 4)["sound"]
    again = read_pieces([sets / "near"], codec, 4)["sound"]
    assert len(coded) == len(again) == 4
    for a, b in zip(coded, again, strict=True):
        frames = min(a.codes.shape[1], b.codes.shape[1])
        assert torch.equal(a.codes[0, :frames], b.codes[0, :frames])
    with pytest.raises(ArgumentError, match="17 of ncodec_24khz are compared"):
        read_pieces([tmp_path / "coded"], codec, 17)
    assert run("tokenize", "-q", "-j", "1", str(sets / "real.csv"), str(tmp_path / "codes")) == 0
    tokens = read_pieces([tmp_path / "codes"], codec, 4)["sound"]
    assert {piece.group for piece in tokens} == {"0", "1", "2", "3"}


def test_the_command_tells_what_is_missing(sets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "generation", "--real", str(sets / "none")) == 1
    assert "none: no such file or folder" in capsys.readouterr().err
