import logging
import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ncodec.audio import open_writer
from ncodec.datasets import read
from ncodec.datasets.tones import draw_tones
from ncodec.errors import ArgumentError
from ncodec.train.config import DataSection
from ncodec.train.data import Segments, batches
from ncodec.train.sources import find_clips
from tests.machine import needs

PLAIN = DataSection(gain_db=0, gain_mean_db=0, mix=0, silence=0, quiet=0, speed=0, batch=2)

ROOT = Path(__file__).resolve().parents[2]


def segments(clips, options=PLAIN, rate=8000, channels=1, samples=4000, seed=0):
    return Segments(clips, options, sample_rate=rate, channels=channels, samples=samples, seed=seed)


def test_folders_lists_and_manifests_name_the_same_files(recordings):
    (recordings / "list.txt").write_text("0.wav\n\n1.wav\n")
    (recordings / "manifest.csv").write_text("path,kind\n2.wav,speech\n3.wav,music\n")
    clips = find_clips([recordings / "list.txt", recordings / "manifest.csv"])
    assert [clip.path.name for clip in clips] == ["0.wav", "1.wav", "2.wav", "3.wav"]
    assert [clip.kind for clip in clips] == ["", "", "speech", "music"]
    assert {clip.path for clip in clips} == {clip.path for clip in find_clips([recordings])}


def test_held_out_files_are_left_out(recordings):
    (recordings.parent / "held.csv").write_text("path,kind\naudio/1.wav,speech\n")
    clips = find_clips([recordings], recordings.parent / "held.csv")
    assert [clip.path.name for clip in clips] == ["0.wav", "2.wav", "3.wav"]


def test_broken_files_are_named_and_skipped(recordings, caplog):
    (recordings / "1.wav").write_bytes(b"RIFF, but no more")
    soundfile.write(recordings / "2.wav", np.zeros(0), 8000)
    with caplog.at_level(logging.WARNING):
        clips = find_clips([recordings])
    assert [clip.path.name for clip in clips] == ["0.wav", "3.wav"]
    assert "1.wav: skipped" in caplog.text
    assert "2.wav: skipped" in caplog.text


def test_a_file_that_breaks_later_is_named_once_and_replaced(recordings, caplog):
    clips = find_clips([recordings])
    (recordings / "0.wav").write_bytes(b"gone")
    source = segments(clips)
    with caplog.at_level(logging.WARNING):
        drawn = [source[i] for i in range(20)]
    assert caplog.text.count("0.wav: skipped") == 1
    assert all(x.abs().max() > 0.1 for x in drawn)


def test_items_do_not_depend_on_what_was_read_beside_unreadable_files(recordings):
    clips = find_clips([recordings])
    whole = segments(clips)
    before = [whole[i] for i in range(40)]
    (recordings / "0.wav").unlink()
    first = segments(clips)
    forwards = [first[i] for i in range(40)]
    second = segments(clips)
    backwards = [second[i] for i in reversed(range(40))][::-1]
    changed = 0
    for i in range(40):
        assert torch.equal(forwards[i], backwards[i]), i
        assert torch.equal(forwards[i], first[i]), i
        changed += not torch.equal(forwards[i], before[i])
    assert 0 < changed < 25  # only what came from the file that is gone


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_recordings_with_samples_that_are_no_audio_are_named_and_left_out(
    tmp_path, wrong, subtype, caplog
):
    good, broken = np.full(80000, 0.25), np.full(80000, 0.5)
    broken[70000] = wrong
    soundfile.write(tmp_path / "good.wav", good, 8000, subtype=subtype)
    soundfile.write(tmp_path / "broken.wav", broken, 8000, subtype=subtype)
    with caplog.at_level(logging.WARNING):
        source = segments(find_clips([tmp_path]))
        values = {float(source[i].max()) for i in range(20)}
    assert values == {0.25}
    assert caplog.text.count("broken.wav: skipped: ") == 1


def test_what_a_worker_cannot_read_is_one_line(recordings):
    clips = find_clips([recordings])
    for clip in clips:
        clip.path.unlink()
    for workers in (0, 1):
        with pytest.raises(ArgumentError, match=r"^20 files in a row could not be read; see the"):
            next(batches(segments(clips), replace(PLAIN, workers=workers), step=0, rank=0, world=1))


ENDLESS = """
import sys
from pathlib import Path
from ncodec.train.config import DataSection
from ncodec.train.data import Segments, batches
from ncodec.train.sources import find_clips
options = DataSection(kinds={}, batch=1, workers=1)
made = Segments(
    find_clips([Path(sys.argv[1])]), options, sample_rate=8000, channels=1, samples=800, seed=0
)
kept = [batches(made, options, step=0, rank=0, world=1)]
kept.append(kept)
print(next(kept[0]).shape[0])
"""


def test_workers_do_not_keep_a_process_from_ending(recordings):
    path = os.pathsep.join([str(ROOT), str(ROOT / "formats")])
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS, str(recordings)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_home_folders_are_found(recordings, monkeypatch):
    monkeypatch.setenv("HOME", str(recordings.parent))
    monkeypatch.setenv("USERPROFILE", str(recordings.parent))
    (recordings / "list.txt").write_text("~/audio/1.wav\n")
    (recordings / "held.csv").write_text("path\naudio/2.wav\n")
    assert len(find_clips(["~/audio"], "~/audio/held.csv")) == 3
    assert [clip.path for clip in find_clips(["~/audio/list.txt"])] == [recordings / "1.wav"]


def test_sources_that_name_no_kinds_are_used_by_duration_and_that_is_said(recordings, caplog):
    clips = find_clips([recordings])
    with caplog.at_level(logging.WARNING):
        shared = segments(clips, replace(PLAIN, kinds={"speech": 0.5, "music": 0.5}))
    assert "the sources name no kinds" in caplog.text
    assert torch.equal(shared[3], segments(clips)[3])
    (recordings / "m.csv").write_text("path,kind\n0.wav,speech\n1.wav,music\n")
    mixed = find_clips([recordings / "m.csv", recordings / "2.wav"])
    segments(mixed, replace(PLAIN, kinds={"speech": 1.0}))
    assert "2 recordings of kind '', 'music' are left out" in caplog.text


def test_nothing_left_is_an_error(tmp_path):
    with pytest.raises(ArgumentError, match="no sources: name"):
        find_clips(())
    with pytest.raises(ArgumentError, match="no audio in"):
        find_clips([tmp_path])
    with pytest.raises(ArgumentError, match="no such file"):
        find_clips([tmp_path / "missing"])


def test_an_item_is_the_same_whenever_it_is_read_and_others_differ(recordings):
    clips = find_clips([recordings])
    options = replace(
        PLAIN, mix=0.5, silence=0.5, quiet=0.5, speed=0.5, gain_db=4, equalise=0.5, tones=0.3
    )
    first, second = segments(clips, options), segments(clips, options)
    late = second[7]
    assert torch.equal(late, first[7])
    assert not torch.equal(first[6], first[7])
    assert not torch.equal(segments(clips, options, seed=1)[7], late)


def test_processes_share_what_one_would_hear_with_the_larger_batch(recordings):
    clips = find_clips([recordings])
    options = replace(PLAIN, batch=4)
    one = list(islice(batches(segments(clips), options, step=3, rank=0, world=1), 2))
    halves = [
        list(islice(batches(segments(clips), PLAIN, step=3, rank=r, world=2), 2)) for r in range(2)
    ]
    for i in range(2):
        assert torch.equal(one[i], torch.cat([halves[0][i], halves[1][i]]))


def test_workers_read_the_same(recordings):
    clips = find_clips([recordings])
    options = replace(PLAIN, workers=1)
    here = next(batches(segments(clips), PLAIN, step=5, rank=0, world=1))
    there = next(batches(segments(clips), options, step=5, rank=0, world=1))
    assert torch.equal(here, there)


def test_kinds_get_their_shares(recordings):
    (recordings / "m.csv").write_text("path,kind\n0.wav,speech\n1.wav,music\n")
    soundfile.write(recordings / "0.wav", np.full(8000, 0.5), 8000)
    soundfile.write(recordings / "1.wav", np.full(8000, -0.5), 8000)
    options = replace(PLAIN, kinds={"speech": 3.0, "music": 1.0})
    source = segments(find_clips([recordings / "m.csv"]), options, samples=100)
    speech = sum(float(source[i].mean()) > 0 for i in range(400))
    assert 260 < speech < 340
    with pytest.raises(ArgumentError, match="no clip of kind 'birds'"):
        segments(find_clips([recordings / "m.csv"]), replace(PLAIN, kinds={"birds": 1.0}))


def test_other_rates_and_stereo(tmp_path):
    t = np.arange(44100) / 44100
    stereo = 0.5 * np.stack([np.sin(2 * np.pi * 1000 * t), np.sin(2 * np.pi * 3000 * t)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44100, subtype="FLOAT")
    clips = find_clips([tmp_path])
    both = segments(clips, rate=24000, channels=2, samples=24000)[0]
    spectra = torch.fft.rfft(both * torch.hann_window(24000)).abs()
    assert spectra.argmax(-1).tolist() == [1000, 3000]
    mono = segments(clips, rate=24000, samples=24000)[0]
    assert torch.allclose(mono[0], both.mean(0), atol=1e-6)
    soundfile.write(tmp_path / "a.wav", stereo[:, 0], 44100)
    both = segments(find_clips([tmp_path]), rate=24000, channels=2, samples=24000)[0]
    assert torch.equal(both[0], both[1])


def test_short_files_are_filled_up_with_silence(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(100, 0.5), 8000)
    x = segments(find_clips([tmp_path]), samples=400)[0][0]
    assert x[:100].min() > 0.49
    assert x[100:].abs().max() == 0


def test_nothing_clips(recordings):
    options = replace(PLAIN, gain_mean_db=6, mix=1.0)
    source = segments(find_clips([recordings]), options)
    assert max(float(source[i].abs().max()) for i in range(20)) <= 1.0


def test_clips_for_validation_are_read_at_the_models_rate(recordings):
    clip = find_clips([recordings])[0]
    assert read(clip, rate=8000, channels=1).shape == (1, 16000)
    assert read(clip, rate=24000, channels=1, seconds=0.5).shape == (1, 12000)


def test_an_equaliser_changes_the_spectrum_and_neither_time_nor_length(tmp_path):
    click = np.zeros(8000)
    click[2000] = 0.5
    soundfile.write(tmp_path / "click.wav", click, 8000)
    source = segments(find_clips([tmp_path]), replace(PLAIN, equalise=1.0), samples=8000)
    for x in (source[i][0].double() for i in range(5)):
        gain_db = 20 * torch.fft.rfft(x).abs().log10()
        assert int(x.abs().argmax()) == 2000
        assert float(gain_db.max() - gain_db.min()) > 3
        assert float(gain_db[50:].diff().abs().max()) < 0.5  # smooth


def test_tones_take_the_place_of_their_share_of_segments(recordings):
    clips = find_clips([recordings])
    plain, toned = segments(clips), segments(clips, replace(PLAIN, tones=1.0), channels=2)
    assert torch.equal(plain[1], segments(clips, replace(PLAIN, tones=0.0))[1])
    left, right = toned[1]
    assert not torch.equal(left, right)
    assert left.std() > 0.02


@pytest.mark.parametrize("seed", range(8))
def test_tones_are_lines_in_the_spectrum_and_nothing_folds_back(seed):
    x = draw_tones(np.random.default_rng(seed), 24000, 24000)
    frames = np.lib.stride_tricks.sliding_window_view(x, 1024)[::512] * np.blackman(1024)
    power = np.sort(np.abs(np.fft.rfft(frames)) ** 2, axis=1)[:, ::-1]
    assert power[:, :77].sum() > 0.95 * power.sum()  # 15 % of the bins
    assert (np.abs(np.fft.rfft(x * np.blackman(len(x)))[11760:]) ** 2).sum() < 1e-5 * power.sum()
    assert -33 < 20 * np.log10(x.std()) < -11


def test_recordings_whose_headers_lie_are_heard_to_their_end(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("ncodec.datasets.catalogue.ffmpeg_is_here", lambda: False)
    x = (0.3 * np.sin(np.arange(24000) * 0.05)).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", x, 8000)
    flac = bytearray((tmp_path / "a.flac").read_bytes())
    flac[21] &= 0xF0
    flac[22:26], flac[26:42] = bytes(4), bytes(16)  # of unknown length, without a checksum
    (tmp_path / "a.flac").write_bytes(flac)
    soundfile.write(tmp_path / "b.ogg", x[:8000], 8000)
    (tmp_path / "b.ogg").write_bytes((tmp_path / "b.ogg").read_bytes() * 2)  # two links
    (tmp_path / "._c.wav").write_bytes(b"of macOS")
    (tmp_path / "d.m4a").write_bytes(bytes(100))
    with caplog.at_level(logging.WARNING):
        clips = find_clips([tmp_path])
    assert [(clip.path.name, clip.seconds) for clip in clips] == [("a.flac", 3.0), ("b.ogg", 2.0)]
    assert "1 file, such as d.m4a, left out: ffmpeg, which" in caplog.text
    assert [read(clip, rate=8000, channels=1).shape[1] for clip in clips] == [24000, 16000]
    source = segments(clips)
    assert all(source[i].abs().max() > 0.1 for i in range(20))


@needs("ffmpeg", "ffprobe")
def test_recordings_of_phones_are_heard(tmp_path, caplog):
    x = (0.3 * np.sin(np.arange(16000) * 0.05)).astype(np.float32)
    with (tmp_path / "a.m4a").open("w+b") as file:
        writer = open_writer(file, container="m4a", sample_rate=8000, channels=1)
        writer.write(x[None])
        writer.finish()
    (tmp_path / "list.txt").write_text("a.m4a\nnowhere.wav\n")
    with caplog.at_level(logging.WARNING):
        (clip,) = find_clips([tmp_path])
        find_clips([tmp_path / "list.txt"])
    assert "nowhere.wav: skipped: No such file or directory" in caplog.text
    assert "1 file, such as a.m4a, read by way of ffmpeg: slow; FLAC is quick" in caplog.text
    assert abs(clip.seconds - 2) < 0.2
    assert segments([clip])[0].abs().max() > 0.1
