"""The codec with real models: the embedded one, and tiny ones of each family, untrained."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import ncodec
from ncodec.audio import RawFormat
from ncodec.codec import StreamDecoder, StreamEncoder, compress, decompress
from ncodec.config import DacConfig, EncodecConfig
from ncodec.metrics.spectral import log_mel_distance
from ncodec.models.dac import DacModel
from ncodec.models.encodec import EncodecModel
from ncodec_cli.main import main
from ncodec_formats import peel

SPEECH = Path(__file__).parents[1] / "data" / "speech.flac"


@pytest.fixture(scope="module")
def embedded():
    return ncodec.load_model()


@pytest.fixture(scope="module")
def speech():
    x, rate = soundfile.read(SPEECH, dtype="float32", always_2d=True)
    assert rate == 24000
    return np.ascontiguousarray(x[:72500].T)


def coded(model, x, rate=24000, **options):
    out = io.BytesIO()
    source = io.BytesIO(x.T.astype("<f4").tobytes())
    compress(source, out, model=model, raw=RawFormat("f32", rate, x.shape[0]), **options)
    return out.getvalue()


def decoded(model, data, **options):
    out = io.BytesIO()
    decompress(io.BytesIO(data), out, model=model, container="raw", encoding="f32", **options)
    return np.frombuffer(out.getvalue(), "<f4")


def pushed(model, x, pushes, rate=24000, **options):
    encoder = StreamEncoder(model, sample_rate=rate, channels=x.shape[0], **options)
    packets, at = [], 0
    while at < x.shape[1]:
        for size in pushes:
            packets += encoder.push(x[:, at : at + size])
            at += size
    return encoder.header, [*packets, *encoder.finish()]


def test_the_embedded_model_peels_seeks_and_cuts_to_the_bit(embedded, speech):
    data = coded(embedded, speech, bandwidth=6)
    whole = decoded(embedded, data)
    assert len(whole) == speech.shape[1]
    np.testing.assert_array_equal(decoded(embedded, data), whole)
    for start, end in ((1.7, 1.71), (0.5, 2.6), (2.99, None)):
        want = whole[round(start * 24000) : None if end is None else round(end * 24000)]
        np.testing.assert_array_equal(decoded(embedded, data, start=start, end=end), want)
    low = io.BytesIO()
    peel(io.BytesIO(data), low, 3)
    three = decoded(embedded, data, codebooks=3)
    np.testing.assert_array_equal(decoded(embedded, low.getvalue()), three)
    np.testing.assert_array_equal(three, decoded(embedded, coded(embedded, speech, codebooks=3)))


def test_the_embedded_model_sounds_like_its_input(embedded, speech):
    y = decoded(embedded, coded(embedded, speech, bandwidth=12))
    spectra = [np.abs(np.fft.rfft(x[:72000].reshape(-1, 480))) for x in (speech[0], y)]
    levels = [20 * np.log10(s[:, 2:100] + 1e-3) for s in spectra]
    assert np.corrcoef(levels[0].ravel(), levels[1].ravel())[0, 1] > 0.7


def test_a_bridged_gap_is_nearer_to_the_truth_than_silence(embedded, speech):
    header, packets = pushed(embedded, speech, (10**9,), bandwidth=6, packet_frames=3)
    lost = set(range(5, len(packets) - 1, 9))

    def distance(replace_lost):
        decoder = StreamDecoder(embedded, header)
        kept = [replace_lost(p) if p.sequence in lost else p for p in packets]
        parts = [decoder.push(p) for p in kept if p is not None]
        y = np.concatenate([*parts, decoder.finish(speech.shape[1])], axis=1)
        return log_mel_distance(speech, y, 24000)

    whole = distance(lambda packet: packet)
    bridged = distance(lambda _: None)
    silent = distance(lambda packet: replace(packet, codes=packet.codes[:0]))
    assert whole < bridged < whole + (silent - whole) / 2


@pytest.mark.parametrize("pushes", [(320,), (1000,), (24000,), (3, 911, 4800)])
def test_the_embedded_model_gives_the_same_codes_for_any_pushes(embedded, speech, pushes):
    _, want = pushed(embedded, speech, (10**9,))
    _, got = pushed(embedded, speech, pushes)
    assert [p.codes.tolist() for p in got] == [p.codes.tolist() for p in want]


def test_one_and_two_threads_give_the_same_bytes(tmp_path, monkeypatch, speech):
    monkeypatch.chdir(tmp_path)
    soundfile.write("in.wav", speech[0, :30000], 24000)
    for threads in ("2", "1"):  # 1 last: the tests' own number
        options = ["--threads", threads, "-q"]
        for args in (
            ["compress", "in.wav", f"{threads}.ecdc", "--bw", "6", *options],
            ["decompress", f"{threads}.ecdc", f"{threads}.wav", *options],
        ):
            with pytest.raises(SystemExit) as ended:
                main(args)
            assert ended.value.code == 0
    assert Path("1.ecdc").read_bytes() == Path("2.ecdc").read_bytes()
    assert Path("1.wav").read_bytes() == Path("2.wav").read_bytes()


def tiny(family):
    torch.manual_seed(0)
    small = {"filters": 2, "latent_dim": 8, "codebooks": 4, "bins": 32}
    if family == "dac":
        return DacModel(
            DacConfig(
                sample_rate=24000, encoder_dim=4, decoder_dim=16, latent_dim=8, ratios=(2, 4, 5),
                codebooks=3, bins=32, codebook_dim=4,
            ),
            name="tiny",
        ).eval()  # fmt: skip
    config = {
        "24 kHz": EncodecConfig(**small),
        "24 kHz constant": EncodecConfig(**small, pad_mode="constant", lstm_layers=0),
        "48 kHz": EncodecConfig(
            **small, sample_rate=48000, channels=2, norm="time_group_norm", causal=False,
            normalize=True, segment=0.1, overlap=0.1,
        ),
    }[family]  # fmt: skip
    return EncodecModel(config, name="tiny").eval()


FAMILIES = ("24 kHz", "24 kHz constant", "48 kHz", "dac")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("rate", "channels"), [(24000, 1), (44100, 2), (48000, 3)])
def test_each_family_streams_and_keeps_lengths(family, rate, channels, sound):
    model = tiny(family)
    for samples in (0, 1, 319, 320, 2239, 2241, 9601):
        x = sound(channels, samples)
        data = coded(model, x, rate)
        assert len(decoded(model, data)) == samples * channels
    header, want = pushed(model, x, (10**9,), rate)
    _, got = pushed(model, x, (7, 320, 1000), rate)
    assert [p.codes.tolist() for p in got] == [p.codes.tolist() for p in want]
    lengths = [decoder_length(model, header, want, samples, cut) for cut in (1, 5)]
    assert lengths == [samples, samples]


def decoder_length(model, header, packets, samples, every):
    """Decode with every so many packets missing; return the length."""
    decoder = StreamDecoder(model, header)
    parts = [decoder.push(p) for i, p in enumerate(packets) if i % every == 0]
    return np.concatenate([*parts, decoder.finish(samples)], axis=1).shape[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_whole_signals_and_streams_agree(family, sound):
    model = tiny(family)
    x = sound(model.channels, 24321)
    rate = model.sample_rate
    _, packets = pushed(model, x, (10**9,), rate, codebooks=model.total_codebooks)
    with torch.inference_mode():
        codes, scale = model.encode(torch.from_numpy(x)[None])
        want = model.decode(codes, scale)[0, :, : x.shape[1]].numpy()
    got = np.concatenate([p.codes for p in packets], axis=2)[:, 0]
    # Another order of summation may turn a code at a tie.
    assert np.mean(got != codes[0].numpy()) < 0.01
    y = decoded(model, coded(model, x, rate, codebooks=len(got))).reshape(-1, model.channels).T
    if np.array_equal(got, codes[0].numpy()):
        np.testing.assert_allclose(y, want, atol=2e-5)
