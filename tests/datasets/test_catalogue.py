import logging
import os

import numpy as np
import pytest
import soundfile

from ncodec.datasets import Augment, Draw, Items, catalogue, entries, find_clips, read
from ncodec.errors import ArgumentError, BadFileError


@pytest.fixture
def clips(tmp_path, monkeypatch):
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "audio"
    folder.mkdir()
    for i in range(3):
        x = 0.1 * (i + 1) * np.ones((8000 + i, 2), np.float32)
        soundfile.write(folder / f"{i}.wav", x, 8000, subtype="FLOAT")
    return folder


def test_manifests_carry_labels_along(clips):
    lines = (
        '{"path": "1.wav", "kind": "speech", "text": "hör zu", "speaker": 7}\n\n{"path":"0.wav"}'
    )
    (clips / "m.jsonl").write_text(lines, encoding="utf-8")
    (clips / "m.csv").write_text("\ufeffpath,text\n2.wav,no\n", encoding="utf-8")
    first, second = find_clips([clips / "m.jsonl"])
    assert (first.kind, first.labels) == ("speech", {"text": "hör zu", "speaker": "7"})
    assert (second.kind, second.labels, second.samples) == ("", {}, 8000)
    assert find_clips([clips / "m.csv"])[0].labels == {"text": "no"}


@pytest.mark.parametrize(
    ("line", "said"),
    [("{", "line 2: not JSON"), ("[1]", "line 2: must be an object"), ("{}", "line 2: needs a `p")],
)
def test_wrong_manifests_say_where(clips, line, said):
    (clips / "m.jsonl").write_text('{"path": "1.wav"}\n' + line)
    with pytest.raises(ArgumentError, match=said):
        entries(clips / "m.jsonl")


def test_what_was_measured_is_kept_until_the_file_changes(clips, monkeypatch, caplog):
    before = find_clips([clips])
    measured = []
    measure = catalogue.measure_audio
    monkeypatch.setattr(
        catalogue, "measure_audio", lambda path: (measured.append(path.name), measure(path))[1]
    )
    assert find_clips([clips]) == before
    assert measured == []
    soundfile.write(clips / "1.wav", np.zeros(5), 8000)
    assert [clip.samples for clip in find_clips([clips])] == [8000, 5, 8002]
    assert measured == ["1.wav"]
    for kept in (clips.parent / "cache" / "recordings").iterdir():
        kept.write_text("[")
    assert len(find_clips([clips])) == 3
    os.truncate(clips / "0.wav", 4)
    with caplog.at_level(logging.WARNING):
        assert len(find_clips([clips])) == 2
    assert caplog.text.count("0.wav") == 1


def test_any_part_is_read_at_any_rate(clips):
    clip = find_clips([clips])[0]
    assert read(clip, start=0.25, seconds=0.5).shape == (2, 4000)
    assert read(clip, start=0.9, seconds=0.5, rate=16000, channels=1).shape == (1, 1600)
    soundfile.write(clips / "0.wav", np.zeros(8000), 16000)
    with pytest.raises(BadFileError, match="changed since it was found"):
        read(clip)


def test_items_say_where_they_are_from(clips):
    found = find_clips([clips])
    items = Items(Draw(found, {}), Augment(), rate=8000, channels=1, samples=800, seed=1)
    for i in range(10):
        item = items[i]
        assert item.clip in found
        x = read(item.clip, start=item.start, seconds=0.1, channels=1)
        np.testing.assert_array_equal(item.audio, x)
    tones = Items(Draw(found, {}), Augment(tones=1), rate=8000, channels=1, samples=800, seed=1)
    assert tones[0].clip is None
