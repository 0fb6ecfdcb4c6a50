"""What `import ncodec` gives: names that come when they are asked for, arrays, paths, errors."""

import ast
import io
import pydoc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ncodec
from ncodec.checkpoints import import_model, save
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.errors import (
    ArgumentError,
    BadFileError,
    CheckpointError,
    DamageError,
    DeviceError,
    NcodecError,
    OutputExistsError,
)
from ncodec_formats import Packet

ROOT = Path(__file__).resolve().parent.parent
RATE = 24000


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def model():
    return ncodec.load_model()


@pytest.fixture(scope="module")
def stereo() -> np.ndarray:
    """Half a second of two tones `[T, C]`."""
    t = np.arange(RATE // 2) / RATE
    return np.stack([np.sin(2000 * t), np.sin(3000 * t)], axis=1).astype(np.float32) * 0.3


@pytest.fixture(scope="module")
def coded(model, stereo) -> bytes:
    out = io.BytesIO()
    ncodec.write(out, stereo, RATE, bandwidth=6, model=model, tags={"title": "Two tones"})
    return out.getvalue()


def test_names_are_the_same_for_people_and_for_checkers() -> None:
    tree = ast.parse((ROOT / "ncodec" / "__init__.py").read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in block.body for alias in node.names}  # type: ignore[attr-defined]
    assert typed == set(ncodec.__all__) - {"__version__"}
    assert set(ncodec.__all__) <= set(dir(ncodec))
    for name in ncodec.__all__:
        assert getattr(ncodec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'raed'"):
        ncodec.raed  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'NoError'"):
        ncodec.NoError  # noqa: B018


def test_importing_costs_nothing_and_help_says_it_all() -> None:
    code = "import ncodec, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
    text = pydoc.render_doc(ncodec, renderer=pydoc.plaintext)
    for name in ("read(", "write(", "class StreamEncoder", "peel(", "class NcodecError"):
        assert name in text


def test_each_package_says_that_it_is_typed() -> None:
    for package in ("ncodec", "ncodec_cli", "formats/ncodec_formats"):
        assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_what_the_streams_give(model, stereo, channels) -> None:
    audio = stereo[:, 0] if channels == 1 else stereo
    out = io.BytesIO()
    done = ncodec.write(out, audio, RATE, codebooks=3, model=model)
    assert (done.codebooks, done.seconds) == (3, 0.5)
    back, rate = ncodec.read(out.getvalue(), model=model)
    assert (back.shape, back.dtype, rate) == (audio.shape, np.float32, RATE)
    samples = audio.reshape(len(audio), channels).T
    encoder = StreamEncoder(model, sample_rate=RATE, channels=channels, codebooks=3)
    packets = [*encoder.push(samples), *encoder.finish()]
    decoder = StreamDecoder(model, encoder.header)
    parts = [decoder.push(packet) for packet in packets]
    heard = np.concatenate([*parts, decoder.finish(encoder.samples)], axis=1)
    assert np.array_equal(back.reshape(len(audio), channels).T, heard)


def written(audio, model, **options) -> bytes:
    out = io.BytesIO()
    ncodec.write(out, audio, RATE, codebooks=2, model=model, **options)
    return out.getvalue()


def test_one_sound_in_any_layout_gives_one_file(model, stereo) -> None:
    whole = written(stereo, model)
    tensor = torch.from_numpy(stereo.T.copy())
    assert written(tensor, model) == whole
    assert written(tensor[None], model) == whole
    assert written(tensor.requires_grad_(), model) == whole
    assert written(stereo.T, model, channels_first=True) == whole
    assert written(torch.from_numpy(stereo), model, channels_first=False) == whole
    assert written(stereo.tolist(), model) == whole
    assert written(stereo.astype(np.float64), model) == whole
    mono = stereo[:, 0]
    assert written(mono, model) == written(mono[:, None], model) == written(mono.tolist(), model)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 9), r"shape \[2, 9\]: an array is taken as \[T, C\].*channels_first=True turns it"),
        ((1, 2, 9), r"shape \[1, 2, 9\]: must be \[T\] or \[T, C\]"),
        ((), r"shape \[\]: must be \[T\] or \[T, C\]"),
        ((4, 0), "makes 0 channels"),
    ],
)
def test_a_layout_that_cannot_be_meant_is_refused(model, shape, said) -> None:
    with pytest.raises(ArgumentError, match=said):
        written(np.zeros(shape, np.float32), model)
    with pytest.raises(ArgumentError, match=r"a tensor is taken as \[C, T\].*=False turns it"):
        written(torch.zeros(9, 2), model)


@given(st.floats(0, 0.5), st.floats(0, 0.5))
@settings(max_examples=10, deadline=None)
def test_a_part_is_that_part_of_the_whole(model, coded, a, b) -> None:
    start, end = sorted([a, b])
    whole, _ = ncodec.read(coded, model=model)
    part, _ = ncodec.read(coded, start=start, end=end, model=model)
    assert np.array_equal(part, whole[round(start * RATE) : round(end * RATE)])


def test_an_open_file_is_read_in_any_order(model, coded, tmp_path) -> None:
    path = tmp_path / "a.ecdc"
    path.write_bytes(coded)
    whole, _ = ncodec.read(path, model=model)
    with ncodec.open(path, model=model) as file:
        assert (file.rate, file.channels, file.frames, file.seconds) == (RATE, 2, 12000, 0.5)
        assert file.tags == (("title", "Two tones"),)
        assert file.header.model == "ncodec_24khz"
        assert np.array_equal(file.read(0.1), whole[:2400])
        assert file.tell() == 0.1
        assert np.array_equal(np.concatenate(list(file.blocks(0.07))), whole[2400:])
        assert file.read().shape == (0, 2)
        assert file.seek(0.25) == 0.25
        assert np.array_equal(file.read(), whole[6000:])
        file.seek(0.5)
        assert file.read().shape == (0, 2)
        for wrong in (-0.1, 0.6, float("nan")):
            with pytest.raises(ArgumentError, match=r"must be 0 to 0\.5"):
                file.seek(wrong)
    with ncodec.open(coded, model=model, sample_rate=48000) as file:
        assert (file.rate, file.frames, file.seconds) == (48000, 24000, 0.5)
        assert len(file.read()) == 24000


def test_a_pipe_is_read_but_not_searched(model, coded) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    whole, _ = ncodec.read(coded, model=model)
    assert np.array_equal(ncodec.read(Pipe(coded), model=model)[0], whole)
    with ncodec.open(Pipe(coded), model=model) as file:
        assert file.frames is None
        assert np.array_equal(file.read(), whole)
        with pytest.raises(ArgumentError, match="a pipe cannot be searched"):
            file.seek(0)
    assert ncodec.info(Pipe(coded)).frames == 12000


def test_operations_take_paths_files_and_bytes(model, coded, tmp_path) -> None:
    path, out = tmp_path / "a.ecdc", tmp_path / "b.ecdc"
    path.write_bytes(coded)
    assert ncodec.verify(path).ok
    assert len(ncodec.peel(path, out, bandwidth=3).codebook_sizes) == 2
    with path.open("rb") as source:
        into = io.BytesIO()
        ncodec.peel(source, into, codebooks=2)
    assert into.getvalue() == out.read_bytes()
    assert ncodec.cut(coded, tmp_path / "1.ecdc", end=0.25) == 0.25
    assert ncodec.cut(coded, tmp_path / "2.ecdc", 0.25, 100) == 0.25
    assert ncodec.cat([tmp_path / "1.ecdc", tmp_path / "2.ecdc"], tmp_path / "12.ecdc") == 1
    assert (tmp_path / "12.ecdc").read_bytes() == coded
    ncodec.set_tags(path, add=[("artist", "Ada"), ("artist", "Bo")], remove=["TITLE"])
    assert ncodec.tags(path) == (("artist", "Ada"), ("artist", "Bo"))
    ncodec.set_tags(path, {"title": "Two tones"})
    assert path.read_bytes() == coded
    assert not ncodec.repair(coded[:-40], tmp_path / "whole.ecdc").ok
    assert ncodec.verify(tmp_path / "whole.ecdc").ok
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".ecdc"] * 6


def test_codes_are_converted_from_bytes_too(coded, model) -> None:
    arrays = io.BytesIO()
    assert ncodec.convert(coded, arrays, to="npz").model == "ncodec_24khz"
    whole, _ = ncodec.read(coded, model=model)
    assert np.array_equal(ncodec.read(arrays.getvalue(), model=model)[0], whole)


def test_integers_are_scaled_by_their_type(model, stereo) -> None:
    whole = np.round(stereo * 32768).astype(np.int16)
    expected = written(whole.astype(np.float32) / 32768, model)
    assert written(whole, model) == expected
    assert written(whole.astype(np.int32) << 16, model) == expected
    assert written(torch.from_numpy(whole.T.copy()), model) == expected


def test_what_a_file_says_is_typed(coded) -> None:
    about = ncodec.info(coded)
    assert (about.format, about.bytes, about.links) == ("ecdc", len(coded), 1)
    assert (about.sample_rate, about.channels, about.frames) == (RATE, 2, 12000)
    assert (about.model, about.codebooks, about.seconds) == ("ncodec_24khz", 4, 0.5)
    assert about.details["links"][0]["tags"] == [["title", "Two tones"]]


def test_an_output_that_exists_is_an_error_of_its_own(coded, tmp_path) -> None:
    path = tmp_path / "a.ecdc"
    path.write_bytes(b"mine")
    for work in (
        lambda: ncodec.write(path, np.zeros(9), RATE),
        lambda: ncodec.peel(coded, path, 1),
        lambda: ncodec.repair(coded, path),
        lambda: ncodec.decompress(coded, path, container="wav"),
    ):
        with pytest.raises(FileExistsError, match=r"exists already \(force=True overwrites\)"):
            work()
    assert issubclass(OutputExistsError, NcodecError)
    assert path.read_bytes() == b"mine"
    ncodec.peel(coded, path, 1, force=True)
    assert ncodec.info(path).codebooks == 1


def test_wrong_things_are_refused_with_the_rule(coded, tmp_path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF....WAVEfmt ")
    with pytest.raises(BadFileError, match=r"a\.wav: not an ECDC file: it begins with b.RIFF.,"):
        ncodec.read(tmp_path / "a.wav")
    with pytest.raises(ArgumentError, match="must be a path, a binary file or bytes"):
        ncodec.read(3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="must be a path, a binary file or bytes"):
        ncodec.compress((np.zeros(9), RATE), tmp_path / "b")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="must be a path or a binary file"):
        ncodec.peel(coded, 3, 1)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="must be a list"):
        ncodec.cat("a.ecdc", "b.ecdc")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="must be a mapping, or pairs"):
        ncodec.set_tags(coded, ["title"], target=io.BytesIO())  # type: ignore[list-item]
    for wrong in (
        lambda: ncodec.read(coded, start="a"),  # type: ignore[arg-type]
        lambda: ncodec.cut(coded, tmp_path / "b", "a"),  # type: ignore[arg-type]
        lambda: ncodec.peel(coded, tmp_path / "b", 1.5),  # type: ignore[arg-type]
        lambda: ncodec.write(tmp_path / "b", [[1.0, 2.0], [3.0]], RATE),
    ):
        with pytest.raises(ArgumentError):
            wrong()
    assert not (tmp_path / "b").exists()
    with pytest.raises(ArgumentError, match="target must say"):
        ncodec.set_tags(coded, {})
    for wrong in (None, 3, True):
        with pytest.raises(ArgumentError, match="must be a name or a path"):
            ncodec.load_model(wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="must be a name or a path"):
        ncodec.read(coded, model=3)  # type: ignore[arg-type]
    for device in ("banana", "gpu", "cuda:99", "cpu:x", "cpu:1", ""):
        with pytest.raises(DeviceError, match=r"this machine has .*cpu"):
            ncodec.load_model(device=device)


def test_models_by_name(model) -> None:
    names = ncodec.list_models()
    assert names[0] == "ncodec_24khz"
    assert "mimi" in names
    assert "encodec_lm_24khz" not in names
    assert ncodec.list_models(local=True) == ["ncodec_24khz"]
    assert not any(weight.requires_grad for weight in model.parameters())
    assert not model.training


def test_a_file_of_unknown_weights_says_how_to_get_them(model, stereo, coded, tmp_path) -> None:
    own = ncodec.load_model()
    own.name = "my_voice"
    path = tmp_path / "a.ecdc"
    ncodec.write(path, stereo, RATE, model=own)
    with pytest.raises(CheckpointError, match=r"a\.ecdc: made with weights c\w{11} named 'my_v"):
        ncodec.read(path)
    save(own, tmp_path / "own.safetensors")
    assert import_model(tmp_path / "own.safetensors").info.name == "my_voice"
    assert ncodec.list_models(local=True) == ["ncodec_24khz", "my_voice"]
    assert len(ncodec.read(path)[0]) == len(stereo)
    assert len(ncodec.read(path, model=tmp_path / "own.safetensors")[0]) == len(stereo)


def test_a_name_in_a_file_is_never_taken_for_a_path(stereo, tmp_path) -> None:
    own = ncodec.load_model()
    own.name = str(tmp_path / "own.safetensors")
    save(own, own.name)
    assert ncodec.load_model(own.name).name == own.name
    ncodec.write(tmp_path / "a.ecdc", stereo, RATE, model=own)
    with pytest.raises(CheckpointError, match="which are not on this machine"):
        ncodec.read(tmp_path / "a.ecdc")


def test_packets_go_as_bytes_and_are_short_in_print(model, stereo) -> None:
    encoder = StreamEncoder(model, sample_rate=RATE, channels=2, codebooks=3, packet_frames=10)
    packets = [*encoder.push(stereo.T), *encoder.finish()]
    assert len(packets) == 4
    for packet in packets:
        data = packet.to_bytes(encoder.header)
        again = Packet.from_bytes(data, encoder.header)
        assert np.array_equal(again.codes, packet.codes)
        assert (again.sequence, again.first_frame) == (packet.sequence, packet.first_frame)
        for wrong in (data[:-1], data[:-1] + bytes([data[-1] ^ 1])):
            with pytest.raises(DamageError, match="damaged from codebook 3 on"):
                Packet.from_bytes(wrong, encoder.header)
            kept = Packet.from_bytes(wrong, encoder.header, keep_going=True)
            assert np.array_equal(kept.codes, packet.codes[:2])
        for wrong in (b"", data[1:], data[:4], data + b"\0"):
            with pytest.raises(BadFileError):
                Packet.from_bytes(wrong, encoder.header)
    assert repr(packets[0]) == "Packet(sequence=0, first_frame=0, codes=[3, 2, 10], scale=None)"
    assert len(repr(encoder.header)) < 250
    assert "model='ncodec_24khz'" in repr(encoder.header)


def test_a_stream_as_bytes_and_as_iterators(model, stereo) -> None:
    pcm = (stereo * 32767).astype("<i2")
    encoder = StreamEncoder(model, sample_rate=RATE, channels=2, codebooks=2, packet_frames=5)
    expected = list(encoder.packets([pcm.T.astype(np.float32) / 32768, stereo[:0].T]))
    decoder = StreamDecoder(model, encoder.header)
    heard = np.concatenate(list(decoder.blocks(expected, lambda: encoder.samples)), axis=1)
    assert heard.shape == (2, len(stereo))
    for encoding, data in {"s16": pcm, "f32": (pcm / np.float32(32768)).astype("<f4")}.items():
        encoder = StreamEncoder(model, sample_rate=RATE, channels=2, codebooks=2, packet_frames=5)
        whole, packets = data.tobytes(), []
        for at in range(0, len(whole), 1001):
            packets += encoder.push_bytes(memoryview(whole)[at : at + 1001], encoding)
        packets += encoder.finish()
        assert [p.codes.tolist() for p in packets] == [p.codes.tolist() for p in expected]
    with pytest.raises(ArgumentError, match="encoding 'mp3': must be one of u8, s16"):
        encoder.push_bytes(b"", "mp3")
    for data in (4800, [1, 2], "text", None):
        with pytest.raises(ArgumentError, match="must be bytes"):
            encoder.push_bytes(data)


def test_damage_is_refused_or_passed_over(coded, tmp_path) -> None:
    bad = bytearray(coded)
    bad[-200] ^= 1
    for work in (
        lambda **how: ncodec.peel(bad, io.BytesIO(), 3, **how),
        lambda **how: ncodec.cut(bad, io.BytesIO(), 0.1, **how),
        lambda **how: ncodec.cat([bad], io.BytesIO(), **how),
        lambda **how: ncodec.set_tags(bad, {}, target=io.BytesIO(), **how),
    ):
        with pytest.raises(DamageError):
            work()
        work(keep_going=True)
    bad = bytearray(coded)
    bad[20] ^= 1
    with pytest.raises(BadFileError, match="header is damaged"):
        ncodec.repair(bad, tmp_path / "whole.ecdc")
    ncodec.repair(bad, tmp_path / "whole.ecdc", header_from=coded)
    assert ncodec.info(tmp_path / "whole.ecdc").frames == 12000


@pytest.mark.parametrize("operation", [ncodec.read, ncodec.info, ncodec.verify, ncodec.tags])
def test_files_that_cannot_be_read_from_are_named_as_such(operation) -> None:
    closed = io.BytesIO(b"ECDC")
    closed.close()
    for file, rule in ((io.StringIO("ECDC"), "open as text"), (closed, "is closed")):
        with pytest.raises(ArgumentError, match=rule):
            operation(file)
    with pytest.raises(ArgumentError, match="NUL"):
        operation("a\0.ecdc")


def test_outputs_that_cannot_be_written_to_are_named_as_such() -> None:
    for file, rule in ((io.StringIO(), "open as text"), ("a\0.ecdc", "NUL")):
        with pytest.raises(ArgumentError, match=rule):
            ncodec.write(file, np.zeros(100, np.float32), 24000)


def test_a_coded_file_that_is_closed_says_so(coded) -> None:
    file = ncodec.open(coded)
    with file, pytest.raises(ArgumentError, match="must be a finite number"):
        next(file.blocks("a"))
    with pytest.raises(ArgumentError, match="is closed"):
        file.read()


def test_bitrates_are_taken_as_the_command_line_takes_them(model, stereo) -> None:
    for asked in (6, "6", "6k", "6 kbps", "6000bps", np.float32(6)):
        done = ncodec.write(io.BytesIO(), stereo, RATE, bandwidth=asked, model=model)
        assert done.kbps == 6
    with pytest.warns(UserWarning, match="bandwidth 6000 is taken as bit/s: 6 kbps"):
        assert ncodec.write(io.BytesIO(), stereo, RATE, bandwidth=6000, model=model).kbps == 6
    for asked in ("6 m", "", "k", True, b"6", float("inf")):
        with pytest.raises(ArgumentError, match="bandwidth"):
            ncodec.write(io.BytesIO(), stereo, RATE, bandwidth=asked, model=model)


def test_more_than_the_model_has_is_warned_of(model, coded, tmp_path) -> None:
    most = "bandwidth 99 kbps: 12 is the most for 1 stream of ncodec_24khz"
    with pytest.warns(UserWarning, match=most):
        StreamEncoder(model, sample_rate=RATE, channels=1, bandwidth=99)
    ncodec.peel(coded, tmp_path / "low.ecdc", bandwidth="3k")
    assert ncodec.info(tmp_path / "low.ecdc").codebooks == 2


def test_verify_reads_files_of_other_tools(tmp_path, model, coded) -> None:
    for name in ("a.npz", "a.safetensors"):
        ncodec.convert(io.BytesIO(coded), tmp_path / name)
        report = ncodec.verify(tmp_path / name)
        assert report.ok
        assert report.known == f"complete, 38 frames; {Path(name).suffix} has no checksums"
    data = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(BadFileError):
        ncodec.verify(data[: len(data) // 2])
