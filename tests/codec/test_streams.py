import io
import itertools
import random
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from ncodec.codec import FileDecoder, StreamDecoder, StreamEncoder
from ncodec.codec.concealment import CROSSFADE_SECONDS
from ncodec.errors import ArgumentError, BadFileError, ModelMismatchError, NcodecError
from ncodec_formats import EcdcReader, EcdcWriter, Loss, encode_packet


def encode(model, x, rate=8000, pushes=(10**9,), **options):
    encoder = StreamEncoder(model, sample_rate=rate, channels=x.shape[0], **options)
    file = io.BytesIO()
    writer = EcdcWriter(file, encoder.header)
    packets, at, turn = [], 0, 0
    while at < x.shape[1]:
        size = pushes[turn % len(pushes)]
        packets += encoder.push(x[:, at : at + size])
        at, turn = at + size, turn + 1
    packets += encoder.finish()
    for packet in packets:
        writer.write(packet.codes, packet.scale, first_frame=packet.first_frame)
    writer.finish(x.shape[1])
    return file.getvalue(), encoder.header, packets


def decode(model, header, packets, total, **options):
    decoder = StreamDecoder(model, header, **options)
    parts = [decoder.push(packet) for packet in packets]
    return np.concatenate([*parts, decoder.finish(total)], axis=1)


@pytest.mark.parametrize("rate", [8000, 11025])
def test_bytes_do_not_depend_on_the_pushes(toy, sound, rate):
    x = sound(2, 26011)
    want, header, packets = encode(toy, x, rate)
    sizes = random.Random(0)
    for pushes in (
        (1,),
        (7,),
        (320,),
        (1000,),
        (24000,),
        [sizes.randrange(0, 900) for _ in range(99)],
    ):
        length = 26011 if pushes != (1,) else 3011
        got, _, _ = encode(toy, x[:, :length], rate, pushes)
        assert got == (want if length == 26011 else encode(toy, x[:, :length], rate)[0])
    assert len(packets) > 2
    assert all(p.frames <= header.packet_frames for p in packets)


def test_decoding_does_not_depend_on_the_reader(toy, sound):
    x = sound(2, 9999)
    data, header, packets = encode(toy, x)
    reader = EcdcReader(io.BytesIO(data))
    assert reader.header == header
    again = list(reader)
    assert [p.codes.tolist() for p in again] == [p.codes.tolist() for p in packets]
    np.testing.assert_array_equal(
        decode(toy, header, packets, 9999), decode(toy, reader.header, again, 9999)
    )


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_every_length_comes_back(toy, sound, rate, channels):
    for samples in (0, 1, 39, 40, 41, 641, 799, 800, 801, 1559, 1561, 5003):
        x = sound(channels, samples)
        _, header, packets = encode(toy, x, rate)
        y = decode(toy, header, packets, samples)
        assert y.shape == (channels, samples), samples
        assert np.isfinite(y).all()


def test_codes_are_those_of_the_whole_signal(toys, sound):
    for name in ("causal", "ahead", "stereo"):
        model = toys[name]
        x = sound(model.channels, 16040)
        _, _, packets = encode(model, x)
        got = np.concatenate([p.codes for p in packets], axis=2)
        want = model.encode(torch.from_numpy(x)[None])[0].numpy()
        np.testing.assert_array_equal(got.transpose(1, 0, 2), want)
        audio = decode(model, packets=packets, header=encode(model, x)[1], total=16040)
        whole = model.decode(torch.from_numpy(want))[0].numpy()
        np.testing.assert_allclose(audio, whole, atol=1e-5)


@pytest.mark.parametrize("name", ["causal", "ahead"])
def test_a_seek_equals_the_whole_bit_for_bit(toys, sound, name):
    model = toys[name]
    x = sound(2, 50000)
    _, header, packets = encode(model, x, packet_frames=50)
    whole = decode(model, header, packets, 50000)
    spans = [(0, 50000), (1, 2), (1999, 2001), (12345, 12345), (20000, 31234), (49990, 50000)]
    for start, end in spans:
        decoder = StreamDecoder(model, header, start=start, end=end)
        first, stop = decoder.first_frame, decoder.stop_frame
        needed = [p for p in packets if p.first_frame + p.frames > first and p.first_frame < stop]
        assert len(needed) <= 3 + (end - start) // 2000
        parts = [decoder.push(p) for p in needed]
        part = np.concatenate([*parts, decoder.finish(50000)], axis=1)
        np.testing.assert_array_equal(part, whole[:, start:end])


def test_a_seek_with_segments_is_exact_after_one(toys, sound):
    model = toys["segments"]
    _, header, packets = encode(model, sound(1, 20000))
    whole = decode(model, header, packets, 20000)
    decoder = StreamDecoder(model, header, start=9000, end=12000)
    needed = [p for p in packets if decoder.first_frame <= p.first_frame < decoder.stop_frame]
    part = np.concatenate([*map(decoder.push, needed), decoder.finish(20000)], axis=1)
    np.testing.assert_allclose(part, whole[:, 9000:12000], atol=1e-5)


@pytest.mark.parametrize("rate", [11025, 16000, 44100])
def test_a_seek_at_another_rate_is_the_same_sound(toys, sound, rate):
    model = toys["causal"]
    x = sound(1, 6 * rate)
    _, header, packets = encode(model, x, rate)
    whole = decode(model, header, packets, 6 * rate)
    start, end = 3 * rate + 17, 4 * rate + 5
    decoder = StreamDecoder(model, header, start=start, end=end)
    first, stop = decoder.first_frame, decoder.stop_frame
    needed = [p for p in packets if p.first_frame + p.frames > first and p.first_frame < stop]
    assert len(needed) < len(packets)
    part = np.concatenate([*map(decoder.push, needed), decoder.finish(6 * rate)], axis=1)
    np.testing.assert_allclose(part, whole[:, start:end], atol=1e-5)


def test_fewer_codebooks_are_a_prefix(toy, sound):
    x = sound(2, 7000)
    _, header, packets = encode(toy, x)
    _, low_header, low_packets = encode(toy, x, codebooks=2)
    for packet, low in zip(packets, low_packets, strict=True):
        np.testing.assert_array_equal(packet.codes[:2], low.codes)
    np.testing.assert_array_equal(
        decode(toy, header, packets, 7000, codebooks=2), decode(toy, low_header, low_packets, 7000)
    )


def test_snapshots_go_on_from_where_they_were_taken(toy, sound):
    x = sound(2, 12000)
    encoder = StreamEncoder(toy, sample_rate=8000, channels=2)
    before = encoder.push(x[:, :5555])
    twin = encoder.snapshot()
    one = [*encoder.push(-x[:, 5555:]), *encoder.finish()]
    two = [*twin.push(x[:, 5555:]), *twin.finish()]
    _, header, want = encode(toy, x)
    assert [p.codes.tolist() for p in before + two] == [p.codes.tolist() for p in want]
    assert [p.codes.tolist() for p in before + one] != [p.codes.tolist() for p in want]

    decoder = StreamDecoder(toy, header)
    half = len(want) // 2
    head = [decoder.push(p) for p in want[:half]]
    later = decoder.snapshot()
    lost = decoder.push(Loss(want[half].first_frame, want[half].frames, "test"))
    tail = [*map(later.push, want[half:]), later.finish(12000)]
    np.testing.assert_array_equal(
        np.concatenate([*head, *tail], axis=1), decode(toy, header, want, 12000)
    )
    assert lost.shape == (2, 0)


def test_a_snapshot_with_a_resampler_is_refused(toys):
    encoder = StreamEncoder(toys["causal"], sample_rate=44100, channels=1)
    with pytest.raises(ArgumentError, match="snapshot at 44100 Hz"):
        encoder.snapshot()
    with pytest.raises(ArgumentError, match="snapshot at 44100 Hz"):
        StreamDecoder(toys["causal"], encoder.header).snapshot()


def test_interleaved_streams_in_threads_do_not_touch_each_other(toy, sound):
    sounds = [sound(1 + seed % 3, 3000 + 100 * seed, seed) for seed in range(32)]
    alone = [encode(toy, x, codebooks=1 + i % 4)[0] for i, x in enumerate(sounds)]
    together = [b""] * 32

    def work(i):
        together[i] = encode(toy, sounds[i], pushes=(50 + i,), codebooks=1 + i % 4)[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_losses_keep_the_timeline_and_heal(toys, sound):
    for name in ("causal", "ahead", "segments"):
        model = toys[name]
        _, header, packets = encode(model, sound(1, 40000))
        whole = decode(model, header, packets, 40000)
        lost = packets[3]
        gap = Loss(lost.first_frame, lost.frames, "test")
        told = decode(model, header, [*packets[:3], gap, *packets[4:]], 40000)
        untold = decode(model, header, [*packets[:3], *packets[4:]], 40000)
        np.testing.assert_array_equal(told, untold)
        assert told.shape == whole.shape
        decoder = StreamDecoder(model, header)
        begin = decoder.timeline.sample_of(lost.first_frame)
        step = decoder.timeline.sample_of(packets[4].first_frame)
        reach = (header.preroll_frames + header.postroll_frames) * model.hop
        same = told == whole
        assert same[:, : begin - reach].all()
        assert same[:, step + reach :].all()
        assert not same[:, begin:step].all()


def test_a_gap_is_bridged_at_once_for_a_live_listener_and_when_it_ends_for_a_file(toys, sound):
    model = toys["causal"]
    _, header, packets = encode(model, sound(1, 8000), packet_frames=10)
    gap = Loss(packets[3].first_frame, 10, "test")
    for gapless, lengths in ((False, [400, 400]), (True, [0, 800])):
        decoder = StreamDecoder(model, header, gapless=gapless)
        for packet in packets[:3]:
            decoder.push(packet)
        assert [decoder.push(gap).shape[1], decoder.push(packets[4]).shape[1]] == lengths


def test_a_gap_of_hours_comes_in_pieces_and_falls_silent(toys, sound):
    model = toys["causal"]
    _, header, packets = encode(model, sound(1, 8000), packet_frames=10)
    far = replace(packets[5], first_frame=packets[5].first_frame + 10**6)
    decoder = StreamDecoder(model, header)
    decoder.push(packets[0])
    pieces = list(itertools.islice(decoder.pieces(far), 100))
    assert all(piece.shape[1] == 400 for piece in pieces)
    silence = pieces[-1][:, -40:]
    assert not np.array_equal(pieces[0][:, :40], silence)
    np.testing.assert_array_equal(pieces[20][:, :40], silence)


def test_an_outage_that_is_told_packet_by_packet_falls_silent(toys, sound):
    model = toys["causal"]
    _, header, packets = encode(model, sound(1, 8000), packet_frames=10)
    live = StreamDecoder(model, header, gapless=False)
    live.push(packets[0])
    told = [live.push(Loss(10 * i, 10, "test")) for i in range(1, 20)]
    at_once = StreamDecoder(model, header, gapless=False)
    at_once.push(packets[0])
    want = at_once.push(Loss(10, 190, "test"))
    np.testing.assert_array_equal(np.concatenate(told, axis=1), want)
    silent = StreamDecoder(model, header, gapless=False)
    silence = [silent.push(replace(packet, codes=packet.codes[:0])) for packet in packets[:2]]
    assert not np.array_equal(told[0], silence[-1])
    np.testing.assert_array_equal(told[-1], silence[-1])


def test_a_live_listener_is_played_the_better_bridge_as_soon_as_the_far_side_is_known(
    toys, sound, monkeypatch
):
    model = toys["ahead"]
    _, header, packets = encode(model, sound(1, 8000), packet_frames=10)
    gaps = [Loss(p.first_frame, 10, "test") for p in packets[3:5]]
    decoder = StreamDecoder(model, header, gapless=False)
    for packet in packets[:3]:
        decoder.push(packet)
    blind = np.concatenate([decoder.push(gaps[0]), decoder.push(gaps[1])], axis=1)
    twin, unseeing = decoder.snapshot(), decoder.snapshot()
    seen = [decoder.push(packet) for packet in packets[5:]]
    again = [twin.push(packet) for packet in packets[5:]]
    got = np.concatenate([blind, *seen, decoder.finish(8000)], axis=1)
    whole = decode(model, header, [*packets[:3], *gaps, *packets[5:]], 8000)[:, -got.shape[1] :]
    played = blind.shape[1]
    assert played == 20 * model.hop
    fade = round(CROSSFADE_SECONDS * header.sample_rate)
    assert not np.array_equal(got[:, :played], whole[:, :played])
    np.testing.assert_array_equal(got[:, played + fade :], whole[:, played + fade :])
    np.testing.assert_array_equal(np.concatenate(seen, axis=1), np.concatenate(again, axis=1))
    monkeypatch.setattr(StreamDecoder, "_unplayed", lambda *_: False)
    unseen = unseeing.push(packets[5])
    assert unseen[0, 0] == pytest.approx(seen[0][0, 0], abs=1e-6), (
        "a step from one bridge to the other"
    )
    assert unseen[0, fade] != pytest.approx(seen[0][0, fade])


def test_an_end_beyond_the_codes_is_refused(toys, sound):
    _, header, packets = encode(toys["causal"], sound(1, 8000))
    out = io.BytesIO()
    writer = EcdcWriter(out, header)
    for packet in packets:
        writer.write(packet.codes)
    writer.finish(1 << 40)
    with pytest.raises(BadFileError, match=f"end is at sample {1 << 40}; the codes end at .* 8000"):
        list(FileDecoder(io.BytesIO(out.getvalue()), model=toys["causal"]))
    blocks = list(FileDecoder(io.BytesIO(out.getvalue()), model=toys["causal"], keep_going=True))
    assert sum(block.shape[1] for block in blocks) == 8000


def test_a_lost_last_packet_keeps_the_length(toys, sound):
    for name in ("causal", "ahead"):
        data, header, packets = encode(toys[name], sound(1, 8000), packet_frames=50)
        last = len(encode_packet(header, packets[-1]))
        begin = data.index(encode_packet(header, packets[-1]))
        cut = io.BytesIO(data[:begin] + data[begin + last :])
        blocks = list(FileDecoder(cut, model=toys[name], keep_going=True))
        assert sum(block.shape[1] for block in blocks) == 8000


def test_duplicates_and_late_packets_are_dropped(toys, sound):
    _, header, packets = encode(toys["causal"], sound(1, 40000))
    whole = decode(toys["causal"], header, packets, 40000)
    messy = [packets[0], packets[0], packets[1], packets[0], *packets[2:], packets[2]]
    np.testing.assert_array_equal(decode(toys["causal"], header, messy, 40000), whole)


def test_layers_lost_alone_change_only_their_time(toys, sound):
    model = toys["causal"]
    _, header, packets = encode(model, sound(1, 40000))
    whole = decode(model, header, packets, 40000)
    for layers in (3, 1, 0):
        thin = replace(packets[2], codes=packets[2].codes[:layers])
        got = decode(model, header, [*packets[:2], thin, *packets[3:]], 40000)
        begin, end = packets[2].first_frame * model.hop, packets[3].first_frame * model.hop
        changed = np.flatnonzero((got != whole).any(axis=0))
        assert begin <= changed[0]
        assert changed[-1] < end + header.preroll_frames * model.hop


def test_without_gapless_nothing_is_held_back(toys, sound):
    _, header, packets = encode(toys["causal"], sound(1, 8000), packet_frames=2)
    live = StreamDecoder(toys["causal"], header, gapless=False)
    assert [live.push(p).shape[1] for p in packets[:5]] == [80] * 5
    assert live.latency_samples == 0
    file = StreamDecoder(toys["causal"], header)
    assert [file.push(p).shape[1] for p in packets[:3]] == [41, 80, 80]
    assert file.latency_samples == 39


def test_bandwidth_picks_the_most_codebooks_that_fit(toys):
    def codebooks(**options):
        encoder = StreamEncoder(toys["causal"], sample_rate=8000, **options)
        return len(encoder.header.codebook_sizes)

    # 200 frames a second of 5 bits: 1 kbps a codebook.
    assert codebooks(channels=1, bandwidth=1) == 1
    assert codebooks(channels=1, bandwidth=2.99) == 2
    assert codebooks(channels=1, bandwidth=100) == 4
    assert codebooks(channels=2, bandwidth=4) == 2
    assert codebooks(channels=2, codebooks=3) == 3
    for bad in (0.99, 0, -1, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="must be a"):
            codebooks(channels=1, bandwidth=bad)
    with pytest.raises(ArgumentError, match="has 1 to 4"):
        codebooks(channels=1, codebooks=5)


def test_wrong_arguments_say_what_is_wrong(toys, make_toy):
    encoder = StreamEncoder(toys["causal"], sample_rate=8000, channels=2)
    with pytest.raises(ArgumentError, match=r"\[1, 5\]: must be \[2, T\]"):
        encoder.push(np.zeros((1, 5), np.float32))
    x = np.zeros((2, 9), np.float32)
    encoder.push(x)
    x[1, 3] = np.nan
    with pytest.raises(ArgumentError, match="sample 12 of channel 2"):
        encoder.push(x)
    with pytest.raises(ArgumentError, match="9 channels"):
        StreamEncoder(toys["causal"], sample_rate=8000, channels=9)
    other = make_toy(hop=50)
    with pytest.raises(ModelMismatchError, match=r"made with model toy \([0-9a-f]{12}\); toy"):
        StreamDecoder(other, encoder.header)


def test_gain_is_applied_on_decoding(toys, sound):
    _, header, packets = encode(toys["causal"], sound(1, 3000))
    _, loud, _ = encode(toys["causal"], sound(1, 3000), gain_db=6.0)
    np.testing.assert_allclose(
        decode(toys["causal"], loud, packets, 3000),
        decode(toys["causal"], header, packets, 3000) * 10**0.3,
        rtol=1e-5,
    )


# What a caller may give, and when


def encoded(model, pushes, **options):
    encoder = StreamEncoder(model, sample_rate=8000, channels=1, **options)
    packets = [packet for samples in pushes for packet in encoder.push(samples)]
    return np.concatenate([p.codes for p in packets + encoder.finish()], axis=2)


def test_any_sensible_samples_are_taken_as_what_they_mean(toys, sound):
    model, x = toys["causal"], sound(1, 2000)
    want = encoded(model, [x])
    for same in (x[0], x.tolist(), torch.from_numpy(x), x.astype(">f4"), x[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(encoded(model, [same]), want)
    whole = np.rint(x * 32767).astype(np.int16)
    exact = encoded(model, [(whole / 32768).astype(np.float32)])
    for same in (whole, whole.astype(">i2"), whole.astype(np.int32) << 16, torch.from_numpy(whole)):
        np.testing.assert_array_equal(encoded(model, [same]), exact)
    np.testing.assert_array_equal(encoded(model, [x.astype(float)]), want)


def test_a_buffer_may_be_used_again(toys, sound):
    model, x = toys["causal"], sound(1, 2000)

    def one_buffer():
        buffer = np.zeros((1, 100), np.float32)
        for at in range(0, 2000, 100):
            buffer[:] = x[:, at : at + 100]
            yield buffer

    np.testing.assert_array_equal(encoded(model, one_buffer()), encoded(model, [x]))
    buffer, encoder = torch.zeros(1, 7), StreamEncoder(model, sample_rate=8000, channels=1)
    encoder.push(buffer)
    buffer.fill_(float("nan"))
    assert encoder.finish()[0].frames == 1


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((2, 50), np.float32),
        np.zeros((50, 1), np.float32),
        np.zeros((1, 1, 50), np.float32),
        np.zeros((1, 50), bool),
        np.zeros((1, 50), complex),
        np.zeros((1, 50), np.int64),
        np.full((1, 50), np.nan),
        np.array([["a"]]),
        [[0.0], [0.0, 1.0]],
        None,
        "abc",
    ],
)
def test_other_samples_are_refused(toys, samples):
    encoder = StreamEncoder(toys["causal"], sample_rate=8000, channels=1)
    with pytest.raises(ArgumentError):
        encoder.push(samples)


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": 0},
        {"sample_rate": 8000.5},
        {"channels": 0},
        {"codebooks": 1.5},
        {"codebooks": True},
        {"bandwidth": "six"},
        {"bandwidth": float("nan")},
        {"packet_frames": 0},
        {"packet_frames": 2.5},
        {"block_frames": 0},
        {"block_frames": -1},
        {"gain_db": "loud"},
    ],
)
def test_encoder_options_are_checked(toys, options):
    with pytest.raises(NcodecError):
        StreamEncoder(toys["causal"], **{"sample_rate": 8000, "channels": 1} | options)


def test_segments_are_packets(toys):
    model = toys["segments"]
    with pytest.raises(ArgumentError, match="segments of 20 frames"):
        StreamEncoder(model, sample_rate=8000, channels=1, packet_frames=7)
    StreamEncoder(model, sample_rate=8000, channels=1, packet_frames=20)


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": 0},
        {"codebooks": 0},
        {"codebooks": 1.5},
        {"start": -1},
        {"start": 1.5},
        {"start": 9, "end": 8},
        {"end": -3},
    ],
)
def test_decoder_options_are_checked(toys, options):
    header = StreamEncoder(toys["causal"], sample_rate=8000, channels=1).header
    with pytest.raises(ArgumentError):
        StreamDecoder(toys["causal"], header, **options)


def test_other_things_than_models_and_headers_are_refused(toys):
    header = StreamEncoder(toys["causal"], sample_rate=8000, channels=1).header
    with pytest.raises(ArgumentError, match="model of type"):
        StreamEncoder(None, sample_rate=8000, channels=1)
    with pytest.raises(ArgumentError, match="model of type"):
        StreamDecoder("toy", header)
    with pytest.raises(ArgumentError, match="header of type"):
        StreamDecoder(toys["causal"], None)


def test_what_has_ended_takes_nothing_more(toy, sound):
    encoder = StreamEncoder(toy, sample_rate=8000, channels=toy.channels)
    packets = encoder.push(sound(toy.channels, 2000)) + encoder.finish()
    decoder = StreamDecoder(toy, encoder.header)
    for packet in packets:
        decoder.push(packet)
    decoder.finish(2000)
    for late in (
        lambda: encoder.push(sound(toy.channels, 10)),
        encoder.finish,
        lambda: decoder.push(packets[-1]),
        decoder.finish,
    ):
        with pytest.raises(ArgumentError, match="has ended"):
            late()


def test_packets_are_checked_against_the_header(toys, sound):
    for name, channels in (("causal", 1), ("segments", 1)):
        model = toys[name]
        frames = None if model.segment else 5
        encoder = StreamEncoder(model, sample_rate=8000, channels=channels, packet_frames=frames)
        good = encoder.push(sound(channels, 2000))[0]
        wrong = [
            replace(good, codes=good.codes.astype(np.float32)),
            replace(good, codes=good.codes + np.uint16(100)),
            replace(good, codes=np.concatenate([good.codes] * 2, axis=1)),
            replace(good, codes=np.concatenate([good.codes] * 3, axis=2)),
            replace(good, codes=good.codes[0]),
            replace(good, first_frame=-1),
            replace(good, scale=np.full(1, np.nan, np.float32)),
            Loss(0, -5, "lost"),
            Loss(-1, 5, "lost"),
            good.codes,
            None,
        ]
        if model.segment is not None:
            wrong.append(replace(good, scale=None))
        decoder = StreamDecoder(model, encoder.header)
        for item in wrong:
            with pytest.raises(ArgumentError):
                decoder.push(item)
        assert decoder.push(good).shape[0] == channels


def test_a_model_of_segments_without_scales_is_written_and_read(tmp_path):
    import ncodec
    from ncodec.config import EncodecConfig
    from ncodec.models.encodec import EncodecModel

    torch.manual_seed(0)
    config = EncodecConfig(codebooks=2, filters=2, segment=0.5, overlap=0.1, normalize=False)
    model = EncodecModel(config).eval()
    model.name = "plain"
    sound = 0.1 * np.random.default_rng(0).standard_normal((30000, 2)).astype(np.float32)
    ncodec.write(tmp_path / "a.ecdc", sound, model.sample_rate, model=model)
    heard, _ = ncodec.read(tmp_path / "a.ecdc", model=model)
    assert heard.shape == sound.shape
    for channel in range(2):
        with torch.no_grad():
            whole = model(torch.from_numpy(sound[None, None, :, channel]))
        assert np.abs(heard[:, channel] - whole[0, 0].numpy()).max() < 1e-4
