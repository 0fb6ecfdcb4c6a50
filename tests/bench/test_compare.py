"""`ncodec bench quality` from recordings to report, with the embedded model."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ncodec.bench import compare as module
from ncodec.bench import quality
from ncodec.bench.found import find
from ncodec.errors import ArgumentError, CheckpointError, NcodecError
from ncodec_cli.bench import bench

DATA = Path(__file__).parent.parent / "data"


@pytest.mark.slow
def test_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [
        *("quality", str(DATA / "speech.flac"), "--bw", "1.5,3", "--seconds", "1.5"),
        *("--against", "codec2,opus", "--out", str(tmp_path), "--jobs", "1"),
    ]
    done = CliRunner().invoke(bench, command)
    assert done.exit_code == 0, done.output
    with (tmp_path / "results.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["codec"] == "ncodec_24khz"]
    assert [row["setting_kbps"] for row in rows] == ["1.5", "3"]
    for row in rows:
        asked, real = float(row["setting_kbps"]), float(row["kbps"])
        assert asked < real < 2 * asked  # a file of 1.5 s is a quarter header
        size = len((tmp_path / "work" / row_file(tmp_path, row)).read_bytes())
        assert real == pytest.approx(size * 8 / 1.5 / 1000, rel=1e-3)
        assert float(row["stoi"]) > 0.4
    tree = json.loads((tmp_path / "results.json").read_text())
    assert len(tree["codebooks"]["ncodec_24khz"]["usage"]) == 4  # 3 kbps
    assert any(line.startswith("opus: ") for line in tree["left_out"])
    assert "ncodec_24khz" in (tmp_path / "results.md").read_text()
    assert (tmp_path / "report.html").stat().st_size > 50_000

    def no_more_work(*_):
        raise AssertionError("a finished run must not code anything again")

    monkeypatch.setattr(quality, "workers", no_more_work)
    again = CliRunner().invoke(bench, command)
    assert again.exit_code == 0, again.output


def row_file(folder: Path, row: dict[str, str]) -> str:
    rows = json.loads((folder / "results.json").read_text())["rows"]
    return next(
        r["coded"]
        for r in rows
        if r["codec"] == row["codec"] and r["setting"] == float(row["setting_kbps"])
    )


def test_the_model_under_test_comes_first_and_must_be_there() -> None:
    found = find([], model="ncodec_24khz")
    assert [codec.name for codec in found.codecs] == ["ncodec_24khz"]
    with pytest.raises(CheckpointError):
        find([], model="encodec_24khz_absent")


def test_a_name_that_is_none_is_told_the_codecs() -> None:
    with pytest.raises(
        ArgumentError, match="unknown codec 'opuss': must be one of opus, "
    ) as error:
        find(["opuss"])
    assert "mimi" in str(error.value)
    assert "musicgen" not in str(error.value)


def test_a_name_can_ask_for_a_wider_search(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, (1, 12000))
    plain, wide = find(["ncodec_24khz@better"], model="ncodec_24khz").codecs
    assert wide.title == plain.title.replace(")", ", better)")
    (tmp_path / "wide").mkdir()
    first = plain.run(samples, 24000, 3, tmp_path).file.read_bytes()
    second = wide.run(samples, 24000, 3, tmp_path / "wide").file.read_bytes()
    # the same header and as many codes; predicted ones need not be as long
    assert abs(len(first) - len(second)) < 0.1 * len(first)
    assert first != second


def test_a_model_that_was_not_pulled_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path))
    found = find(["encodec_24khz"])
    assert found.codecs == ()
    assert "ncodec models pull encodec_24khz" in found.left_out[0]


def test_rates_outside_the_models_are_not_run() -> None:
    (codec,) = find([], model="ncodec_24khz").codecs
    assert codec.setting(3) == 3
    assert codec.setting(0.1) is None
    assert codec.setting(64) is None


def test_nothing_to_measure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="must be positive"):
        module.compare([DATA], tmp_path, bandwidths=[0], model=None, against=[])
    with pytest.raises(NcodecError, match="nothing could be measured: ncodec_24khz: has no rate"):
        module.compare([DATA], tmp_path, bandwidths=[300], model="ncodec_24khz", against=[])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["quality", "x.wav", "--bw", "1,two"], "'two': must be kbps, such as 6"),
        (["quality", "x.wav", "--bw", "1,nan"], "nan: must be a finite number"),
        (["quality", "x.wav", "--bw", "0"], "must be numbers above 0"),
        (["quality", "x.wav", "--bw", ","], "'': must be kbps"),
        (["container", "--codebooks", "8,-1"], "must be numbers above 0"),
        (["quality"], "Missing argument"),
        (["speed", "--threads", "0"], "numbers above 0"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], told: str) -> None:
    done = CliRunner().invoke(bench, arguments)
    assert done.exit_code == 2
    assert told in done.output
