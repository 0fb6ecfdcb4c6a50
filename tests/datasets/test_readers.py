"""What other loaders read of the shards, and our own: equal codes, none lost, none twice."""

import json
import tarfile
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ncodec.datasets import (
    AudioDataset,
    Augment,
    CodesDataset,
    Decoded,
    Draw,
    Items,
    Loader,
    find_clips,
    formats,
    pad,
)
from ncodec.errors import ArgumentError


def rows_of(run):
    return {row.id: row for n in range(run.shards) for row in run.read(n)}


def test_pyarrow_reads_parquet(made):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow not installed")
    folder = made["parquet"].folder / "shards"
    table = parquet.read_table(folder)
    rows = rows_of(made["parquet"])
    assert table.num_rows == len(rows)
    for row in table.to_pylist():
        np.testing.assert_array_equal(np.array(row["codes"]), rows[row["id"]].codes)
        assert row["frames"] == rows[row["id"]].codes.shape[1]
    (path, *_) = sorted(folder.iterdir())
    about = json.loads(parquet.read_schema(path).metadata[b"ncodec"])
    assert about["fingerprint"] == made["parquet"].about["fingerprint"]


def test_row_groups_of_parquet_are_bounded(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow not installed")
    monkeypatch.setattr(formats, "_GROUP_CODES", 40)
    rng = np.random.default_rng(0)
    sizes = (3, 10, 11, 30, 0, 2, 1)  # of two codebooks: 26 codes, 22, 60, 6
    rows = [
        formats.Coded(str(n), rng.integers(0, 1024, (2, size), np.uint16), 1, 1, 1)
        for n, size in enumerate(sizes)
    ]
    kind = formats.Parquet()
    for some, groups in ((rows, [2, 1, 1, 3]), ([], [])):
        kind.save(tmp_path, 0, 1, some, {})
        file = parquet.ParquetFile(tmp_path / kind.names(0, 1)[0])
        found = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert found == groups
        again = kind.load(tmp_path, 0, 1)
        assert [row.id for row in again] == [row.id for row in some]
        for row, own in zip(again, some, strict=True):
            np.testing.assert_array_equal(row.codes, own.codes)


def test_hugging_face_datasets_reads_parquet(made, tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets not installed")
    files = str(made["parquet"].folder / "shards" / "*.parquet")
    rows = rows_of(made["parquet"])
    found = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path)
    )
    streamed = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    for some in (found, streamed):
        ids = [row["id"] for row in some]
        assert sorted(ids) == sorted(rows)
        for row in some:
            np.testing.assert_array_equal(np.array(row["codes"]), rows[row["id"]].codes)


def test_webdataset_reads_its_tars(made):
    webdataset = pytest.importorskip("webdataset", reason="webdataset not installed")
    paths = sorted(map(str, (made["webdataset"].folder / "shards").iterdir()))
    rows, seen = rows_of(made["webdataset"]), []
    for sample in webdataset.WebDataset(paths, shardshuffle=False).decode():
        seen.append(sample["json"]["id"])
        np.testing.assert_array_equal(sample["npy"], rows[seen[-1]].codes)
    assert sorted(seen) == sorted(rows)


def test_lhotse_reads_shar_whole_and_in_windows_of_whole_frames(made):
    lhotse = pytest.importorskip("lhotse", reason="lhotse not installed")
    cuts = list(lhotse.CutSet.from_shar(in_dir=made["shar"].folder / "shards"))
    rows = rows_of(made["shar"])
    assert [cut.id for cut in cuts] == list(rows)
    for cut in cuts:
        codes = rows[cut.id].codes.T
        np.testing.assert_array_equal(cut.load_codes(), codes)
        windows = lhotse.CutSet.from_cuts([cut]).cut_into_windows(0.24)  # 18 frames
        parts = [window.load_codes() for window in windows]
        np.testing.assert_array_equal(np.concatenate(parts), codes)


# Our own


@pytest.fixture(params=["webdataset", "shar", "parquet"])
def folder(made, request):
    if request.param not in made:
        pytest.skip("pyarrow not installed")
    return made[request.param].folder


def ids(batches):
    return [[row["id"] for row in batch] for batch in batches]


def test_rows_are_all_there_shuffled_anew_in_each_epoch(folder, made):
    rows = rows_of(made["webdataset"])
    dataset = CodesDataset(folder, seed=3, pool=2)
    epochs = [list(dataset) for _ in range(2)]
    for epoch in epochs:
        assert sorted(row["id"] for row in epoch) == sorted(rows)
        for row in epoch:
            np.testing.assert_array_equal(row["codes"].numpy(), rows[row["id"]].codes)
            assert row["codes"].dtype == torch.int64
    first, second = ([row["id"] for row in epoch] for epoch in epochs)
    assert first != second
    assert [row["id"] for row in CodesDataset(folder, seed=3, pool=2)] == first
    assert [row["id"] for row in CodesDataset(folder, seed=4, pool=2)] != first
    plain = [row["id"] for row in CodesDataset(folder, shuffle=False)]
    assert plain == list(rows)


def test_ranks_have_equal_counts_and_everything_between_them(folder, made):
    every = set(rows_of(made["webdataset"]))
    for world in (2, 3, 4):
        for batch in (1, 2, 3):
            parts = [
                [row["id"] for row in CodesDataset(folder, batch=batch, rank=r, world=world)]
                for r in range(world)
            ]
            assert {len(part) for part in parts} == {-(-11 // world)}
            assert {i for part in parts for i in part} == every
    part = CodesDataset(folder, batch=2, drop_last=True, rank=0, world=2)
    other = CodesDataset(folder, batch=2, drop_last=True, rank=1, world=2)
    seen = [row["id"] for row in [*part, *other]]
    assert len(seen) == len(set(seen)) == 8
    assert len(part) == len(other) == 4
    with pytest.raises(ArgumentError, match="too few for 6 ranks"):
        CodesDataset(folder, batch=2, drop_last=True, rank=0, world=6)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_loaders_go_on_exactly_with_any_number_of_workers(made, workers):
    folder = made["webdataset"].folder
    whole = Loader(CodesDataset(folder, batch=2, seed=1))
    expected = ids(whole) + ids(whole)
    assert len(expected) == 12
    begun = Loader(CodesDataset(folder, batch=2, seed=1), workers=2 - workers)
    first = ids(islice(begun, 4))
    state = json.loads(json.dumps(begun.state_dict()))
    on = Loader(CodesDataset(folder, batch=2, seed=1), workers=workers)
    on.load_state_dict(state)
    assert first + ids(on) + ids(on) == expected


def test_torchdata_keeps_the_place_too(made):
    stateful = pytest.importorskip(
        "torchdata.stateful_dataloader", reason="torchdata not installed"
    )

    def loader():
        dataset = CodesDataset(made["webdataset"].folder, batch=2, seed=1)
        return stateful.StatefulDataLoader(dataset, 2, num_workers=2, collate_fn=list)

    whole, begun, on = ids(loader()), loader(), loader()
    first = ids(islice(iter(begun), 3))
    on.load_state_dict(begun.state_dict())
    assert first + ids(on) == whole


def test_places_that_are_none_are_refused(made):
    dataset = CodesDataset(made["webdataset"].folder)
    for state in ({}, {"epoch": 0}, {"epoch": -1, "row": 0}, {"epoch": 0, "row": 1.5}, 7):
        with pytest.raises(ArgumentError):
            dataset.load_state_dict(state)
    dataset.set_epoch(1)
    assert dataset.state_dict() == {"epoch": 1, "row": 0, "origin": 0}


def test_batches_are_filled_up(made):
    dataset = CodesDataset(made["webdataset"].folder, shuffle=False, batch=3)
    codes, lengths = next(iter(Loader(dataset, collate=lambda rows: pad(rows, fill=-1))))
    rows = CodesDataset(made["webdataset"].folder, shuffle=False)
    for row, own, length in zip(rows, codes, lengths, strict=False):
        assert torch.equal(own[:, :length], row["codes"])
        assert (own[:, length:] == -1).all()


def test_codes_come_back_as_sound(made, model):
    rows = list(islice(Decoded(CodesDataset(made["webdataset"].folder, shuffle=False), model), 4))
    for row in rows:
        assert row["audio"].shape == (1, -(-row["samples"] * 24000 // row["rate"]))
    loud = max(rows, key=lambda row: row["samples"])["audio"]
    assert loud.abs().max() > 0.1
    other = CodesDataset(made["webdataset"].folder)
    other.run.about["fingerprint"] = "0" * 64
    with pytest.raises(ArgumentError, match="another model"):
        Decoded(other, model)


def test_sound_goes_on_exactly_too(made, model):
    def decoded(workers=0):
        codes = CodesDataset(made["webdataset"].folder, batch=3, seed=2)
        return Loader(Decoded(codes, model), workers=workers)

    whole, begun, on = list(decoded()), decoded(), decoded(workers=2)
    first = list(islice(begun, 2))
    on.load_state_dict(begun.state_dict())
    again = [*first, *on]
    assert ids(again) == ids(whole)
    for a, b in zip(again[-1], whole[-1], strict=True):
        torch.testing.assert_close(a["audio"], b["audio"])
    dataset = CodesDataset(made["webdataset"].folder, batch=3, seed=2)
    dataset.load_state_dict({"epoch": 1, "row": 3})
    assert [row["id"] for row in Decoded(dataset, model)] == [row["id"] for row in dataset]
    assert len(Decoded(dataset, model)) == 11


def test_endless_audio_is_the_same_with_any_number_of_workers(sources, tmp_path, monkeypatch):
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path))
    draw = Draw(find_clips([sources]), {})
    items = Items(draw, Augment(), rate=8000, channels=1, samples=400, seed=0)
    loaders = [Loader(AudioDataset(items, batch=2), workers=w) for w in (0, 2)]
    here, there = (list(islice(loader, 5)) for loader in loaders)
    for a, b in zip(here, there, strict=True):
        assert [row["start"] for row in a] == [row["start"] for row in b]
        assert torch.equal(a[1]["audio"], b[1]["audio"])
    halves = [AudioDataset(items, batch=2, rank=r, world=2) for r in (0, 1)]
    shared = [next(iter(DataLoader(half, 2, collate_fn=list))) for half in halves]
    assert torch.equal(shared[1][0]["audio"], here[1][0]["audio"])


def test_a_folder_that_is_not_whole_is_refused(made, tmp_path):
    (tmp_path / "metadata.json").write_bytes(
        (made["webdataset"].folder / "metadata.json").read_bytes()
    )
    with pytest.raises(ArgumentError, match="not all shards"):
        CodesDataset(tmp_path)


def test_shards_hold_no_clock_and_no_name(made):
    with tarfile.open(made["webdataset"].folder / "shards" / "codes-000000.tar") as tar:
        assert all((m.mtime, m.uid, m.uname) == (0, 0, "") for m in tar)
