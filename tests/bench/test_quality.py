"""The comparison: its jobs, resuming, failures, means with intervals, and the tables."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ncodec.bench import quality, sources, summary, tables
from ncodec.bench.codecs import Coded, Samples
from ncodec.bench.found import find
from ncodec.errors import ArgumentError, BadFileError, NcodecError
from ncodec.metrics import si_sdr
from tests.machine import require

DATA = Path(__file__).parent.parent / "data"


@dataclass
class Coarse:
    """A codec that keeps `setting` bits a sample, 50 samples late, and counts its runs."""

    name: str = "coarse"
    title: str = "Coarse 1.0"
    runs: int = 0

    def setting(self, bandwidth: float) -> float | None:
        return bandwidth if bandwidth < 9 else None

    def run(self, samples: Samples, sample_rate: int, setting: float, folder: Path) -> Coded:
        self.runs += 1
        if setting == 7:
            raise NcodecError("no 7")
        file = folder / "coded.bin"
        file.write_bytes(bytes(round(samples.size * setting / 8)))
        late = np.pad(np.round(samples * 2**setting) / 2**setting, ((0, 0), (50, 0)))
        return Coded(file, late, sample_rate)


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> Coarse:
    """One codec, and jobs done in this process."""
    codec = Coarse()

    def here(jobs, processes):
        for job in jobs:
            try:
                yield job, quality.execute(job)
            except NcodecError as error:
                yield job, str(error)

    monkeypatch.setattr(quality, "_codec", lambda name: codec)
    monkeypatch.setattr(quality, "_each", here)
    monkeypatch.setattr(quality, "measure", lambda kind, a, b, rate: {"si_sdr": si_sdr(a, b)})
    return codec


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    for kind in ("speech", "music"):
        (folder / kind).mkdir(parents=True)
        shutil.copy(DATA / f"{kind}.flac", folder / kind / "one.flac")
    return folder


def test_recordings_are_found_named_and_sorted_by_kind(recordings: Path) -> None:
    (recordings / "notes.txt").write_text("no sound")
    found = sources.find_sources([recordings, recordings / "music" / "one.flac"], 1.0)
    assert [(s.name, s.kind) for s in found] == [("speech/one", "speech"), ("music/one", "music")]
    samples, rate = found[0].read()
    assert samples.shape == (1, rate)
    assert sources.kind_of(Path("/a/b/speech-12.wav")) == "speech"
    assert sources.kind_of(Path("/a/music_loud/speechless.wav")) == "music"
    assert sources.kind_of(Path("/a/b/c.wav")) == "other"


def test_what_is_no_recording_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no such file"):
        sources.find_sources([tmp_path / "absent"])
    with pytest.raises(ArgumentError, match="no recordings"):
        sources.find_sources([tmp_path])
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF....")
    with pytest.raises(BadFileError, match=r"broken\.wav"):
        sources.find_sources([broken])


def test_broken_recordings_in_a_folder_are_named_and_hidden_ones_passed_over(
    recordings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (recordings / "broken.wav").write_bytes(b"RIFF....")
    (recordings / "._one.wav").write_bytes(b"of macOS")
    found = sources.find_sources([recordings], 1.0)
    assert [s.name for s in found] == ["speech/one", "music/one"]
    assert "broken.wav" in caplog.text
    assert "._one" not in caplog.text


def test_a_run_measures_aligned_sound_and_real_bytes(
    coarse: Coarse, recordings: Path, tmp_path: Path
) -> None:
    found = sources.find_sources([recordings], 2.0)
    jobs = quality.plan(found, [coarse], [4, 8, 12], tmp_path / "work")
    seen: list[tuple[int, int]] = []
    rows, failures = quality.run(jobs, progress=lambda done, n: seen.append((done, n)))
    assert not failures
    assert seen[-1] == (4, 4)
    assert [(r.file, r.setting) for r in rows] == [
        *(("speech/one", 4), ("speech/one", 8)),
        *(("music/one", 4), ("music/one", 8)),
    ]
    assert rows[1].kbps == pytest.approx(24 * 8, rel=1e-3)
    # 4 more bits are 24 dB: the codec's delay of 50 samples was undone before measuring.
    assert rows[1].values["si_sdr"] - rows[0].values["si_sdr"] == pytest.approx(24, abs=3)
    kept, _ = sf.read(tmp_path / "work" / rows[1].decoded)
    assert np.abs(kept - found[0].read()[0][0])[:-50].max() < 2**-8


def test_an_interrupted_run_resumes(coarse: Coarse, recordings: Path, tmp_path: Path) -> None:
    found = sources.find_sources([recordings], 1.0)
    jobs = quality.plan(found, [coarse], [2, 4], tmp_path / "work")
    quality.run(jobs[:3])
    jobs[1].row_path.write_text('{"file": ')  # the machine went down as this was written
    assert coarse.runs == 3
    rows, _ = quality.run(jobs)
    assert (coarse.runs, len(rows)) == (5, 4)
    changed = Coarse(title="Coarse 1.1")
    again = quality.plan(found, [changed], [2, 4], tmp_path / "work")
    assert not {job.key for job in again} & {job.key for job in jobs}


def test_generations_are_coded_one_after_the_other(
    coarse: Coarse, recordings: Path, tmp_path: Path
) -> None:
    found = sources.find_sources([recordings / "speech"], 1.0)
    once, thrice = (
        quality.plan(found, [coarse], [6], tmp_path / "work", generations=n) for n in (1, 3)
    )
    assert once[0].key != thrice[0].key
    quality.run(thrice)
    assert coarse.runs == 3
    kept, _ = sf.read(thrice[0].decoded_path)
    # rounded once or three times is the same, and each generation's delay was undone
    assert np.abs(kept - found[0].read()[0][0])[:-150].max() < 2**-6


def test_recordings_are_brought_to_a_level(recordings: Path) -> None:
    (own,) = sources.find_sources([recordings / "speech"], 1.0)
    (quiet,) = sources.find_sources([recordings / "speech"], 1.0, level_db=-42)
    samples = quiet.read()[0]
    assert 10 * np.log10(np.mean(samples**2)) == pytest.approx(-42, abs=0.01)
    assert own.digest() != quiet.digest()
    (loud,) = sources.find_sources([recordings / "speech"], 1.0, level_db=0)
    assert np.abs(loud.read()[0]).max() == 1


def test_a_failure_costs_its_own_row(coarse: Coarse, recordings: Path, tmp_path: Path) -> None:
    found = sources.find_sources([recordings / "music"], 1.0)
    jobs = quality.plan(found, [coarse], [6, 7, 8], tmp_path / "work")
    rows, failures = quality.run(jobs)
    assert [r.setting for r in rows] == [6, 8]
    assert failures == ["one coarse 7 kbps: no 7"]


def test_a_copy_of_a_recording_counts_once(coarse: Coarse, recordings: Path) -> None:
    shutil.copy(recordings / "speech" / "one.flac", recordings / "speech" / "two.flac")
    found = sources.find_sources([recordings], 1.0)
    jobs = quality.plan(found, [coarse], [4], recordings)
    assert [job.source.name for job in jobs] == ["speech/one", "music/one"]


def fail(job: quality.Job) -> quality.Row:
    raise ZeroDivisionError(job.codec)


def die(job: quality.Job) -> quality.Row:
    os._exit(1)


def test_workers_tell_their_failures(coarse, recordings, tmp_path, monkeypatch) -> None:
    monkeypatch.undo()  # real processes
    found = sources.find_sources([recordings / "music"], 1.0)
    jobs = quality.plan(found, [coarse], [4], tmp_path / "work")
    monkeypatch.setattr(quality, "execute", fail)
    assert quality.run(jobs) == ([], ["one coarse 4 kbps: ZeroDivisionError: coarse"])
    monkeypatch.setattr(quality, "execute", die)
    with pytest.raises(NcodecError, match="worker process died"):
        quality.run(jobs)


def test_real_workers(recordings: Path, tmp_path: Path) -> None:
    require("c2enc", "c2dec")
    codecs = find(["codec2"]).codecs
    found = sources.find_sources([recordings / "speech"], 2.0)
    jobs = quality.plan(found, codecs, [3], tmp_path / "work")
    rows, failures = quality.run(jobs, processes=2)
    assert not failures
    assert rows[0].values["stoi"] > 0.7


def test_estimates_have_student_intervals_from_five_values_on() -> None:
    assert summary.estimate([3.0]) == summary.Estimate(3.0, None, 1, (3.0,))
    few = summary.estimate([1.0, 3.0, 2.0, 2.0])
    assert few == summary.Estimate(2.0, None, 4, (1.0, 3.0, 2.0, 2.0))
    five = summary.estimate([1.0, 3.0, 2.0, 1.0, 3.0])
    assert five is not None
    assert five.margin == pytest.approx(2.776 * 1 / 5**0.5)  # standard deviation 1
    assert summary.estimate([1.0, float("inf")]) == summary.Estimate(1.0, None, 1, (1.0,))
    assert summary.estimate([float("-inf")]) is None


def test_beyond_the_table_the_quantile_goes_on() -> None:
    values = [(-1.0) ** i for i in range(62)]
    found = summary.estimate(values)
    assert found is not None
    assert found.margin is not None
    t = found.margin * len(values) ** 0.5 / float(np.std(values, ddof=1))
    assert t == pytest.approx(1.9996, abs=2e-3)  # scipy.stats.t(61).ppf(0.975)


def test_intervals_cover_the_mean_95_times_in_100() -> None:
    draw = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        found = summary.estimate(list(draw.standard_normal(6)))
        assert found is not None
        assert found.margin is not None
        hits += abs(found.mean) < found.margin
    assert 0.935 < hits / 2000 < 0.965


def test_codebooks_are_counted_in_files_of_mono_and_stereo(tmp_path: Path) -> None:
    """At one rate of the whole file, stereo has half as many codebooks."""
    import ncodec

    rate, rows = 24000, []
    for name, channels in (("mono", 1), ("stereo", 2), ("more", 1)):
        samples = 0.1 * np.random.default_rng(channels).standard_normal((rate // 4, channels))
        ncodec.write(tmp_path / f"{name}.ecdc", samples, rate, bandwidth=6)
        found = quality.Row(name, "sound", "m", "m", 6.0, 6.0, 0.25, {}, "", f"{name}.ecdc")
        rows.append(found)
    use = summary.codebook_use(rows, tmp_path)["m"]
    assert len(use.usage) == 8
    assert summary.codebook_use(rows[1:2], tmp_path)["m"].usage[3] > 0


def row(file: str, kind: str, setting: float, value: float) -> quality.Row:
    values = {"si_sdr": value, "stoi": 0.5} if kind == "speech" else {"si_sdr": value}
    return quality.Row(
        file, kind, "x", "X 1", setting, setting + 0.5, 2.0, values, "k.flac", "k.bin"
    )


ROWS = [
    row("a", "speech", 3, 1.0),
    row("b", "speech", 3, 3.0),
    row("a", "speech", 6, float("inf")),
    row("m", "music", 3, -2.0),
]


def test_tables_hold_every_point() -> None:
    results = tables.Results(ROWS, {"date": "2030-01-01"}, ["opus: not installed"])
    markdown = tables.to_markdown(results)
    assert "## Speech (2 recordings)" in markdown
    assert "| X 1 | 3 | 3.50 | 0.500 | 2.0 |" in markdown
    assert "| X 1 | 6 | 6.50 | 0.500 |  |" in markdown
    assert "- opus: not installed" in markdown
    lines = list(csv.DictReader(io.StringIO(tables.to_csv(results))))
    assert [line["si_sdr"] for line in lines] == ["1", "3", "inf", "-2"]
    tree = json.loads(tables.to_json(results))
    assert len(tree["points"]) == 3
    assert tree["rows"][2]["values"]["si_sdr"] is None
