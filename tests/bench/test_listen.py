"""Answers of several listeners: joined, screened, and refused where they are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ncodec.bench import listen
from ncodec.errors import BadFileError
from ncodec_cli.bench import bench

SCORES = {"original": 100, "low": 20, "mid": 50, "mine": 80, "opus": 60}


def mushra(folder: Path, name: str, page: str = "p1", **scores: int) -> Path:
    ratings = [
        {
            "recording": f"r{i}",
            "role": who if who in ("original", "low", "mid") else "codec",
            "codec": who if who in ("mine", "opus") else "",
            "version": who,
            "rating": score,
        }
        for i in range(3)
        for who, score in {**SCORES, **scores}.items()
    ]
    tree = {"test": "MUSHRA", "page": page, "listener": {"name": name}, "ratings": ratings}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(tree))
    return path


def abx(folder: Path, name: str, right: int) -> Path:
    tests = [{"recording": "r", "a": "x", "b": "y", "right": right, "trials": 10}]
    path = folder / f"{name}.json"
    path.write_text(
        json.dumps({"test": "ABX", "page": "p1", "listener": {"name": name}, "tests": tests})
    )
    return path


def test_listeners_are_joined_and_those_who_miss_the_reference_screened(tmp_path: Path) -> None:
    heard = listen.join(
        [
            mushra(tmp_path, "ada"),
            mushra(tmp_path, "bob", opus=70),
            mushra(tmp_path, "deaf", original=60, opus=100),
            mushra(tmp_path, "easy", mid=95, opus=100),
        ]
    )
    assert heard.listeners == ["ada", "bob", "deaf", "easy"]
    assert [line.split(":")[0] for line in heard.screened] == ["deaf", "easy"]
    by_name = {c.name: c for c in heard.conditions}
    assert [c.name for c in heard.conditions] == ["original", "mine", "opus", "mid", "low"]
    assert (by_name["opus"].median, by_name["opus"].low, by_name["opus"].high) == (65, 60, 70)
    assert by_name["opus"].count == 6
    # All six pairs for the first codec: 2 / 64, times four conditions.
    assert by_name["opus"].p == pytest.approx(4 * 2 / 64)
    assert by_name["mine"].p is None


def test_abx_of_several_listeners_is_one_question(tmp_path: Path) -> None:
    heard = listen.join([abx(tmp_path, "ada", 8), abx(tmp_path, "bob", 7)])
    (pair,) = heard.pairs
    assert (pair.right, pair.trials) == (15, 20)
    assert pair.p == pytest.approx(0.0207, abs=1e-4)  # binomial tables


def test_holm_corrects_for_the_number_of_tests() -> None:
    assert listen.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert listen.holm([]) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"test": "MUSHRA", "page": "p", "listener": {}, "ratings": [{"rating": 50}]}',
        '{"test": "ABX", "page": "p", "listener": {}, "tests": [{"recording": "r", "a": "x", '
        '"b": "y", "right": 11, "trials": 10}]}',
        '{"test": "poll", "page": "p", "listener": {}}',
    ],
)
def test_what_is_no_answer_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(BadFileError, match=r"a\.json: "):
        listen.join([path])


def test_answers_to_another_page_are_not_mixed_in(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="page p2"):
        listen.join([mushra(tmp_path, "ada"), mushra(tmp_path, "bob", page="p2")])


def test_the_command_prints_tables_of_80_columns(tmp_path: Path) -> None:
    files = [mushra(tmp_path, "ada"), abx(tmp_path, "bob", 9)]
    done = CliRunner().invoke(bench, ["listen", *map(str, files)])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    assert "9 of 10" in done.output
    tree = json.loads(CliRunner().invoke(bench, ["listen", "--json", str(files[0])]).output)
    assert tree["conditions"][0]["name"] == "original"
