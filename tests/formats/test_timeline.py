"""The arithmetic of a header: frames, samples of model, source and output, bitrates."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec_formats.bitrate import bits_of, check_codebooks, codebooks_within, kbps, kbps_steps
from ncodec_formats.errors import ArgumentError
from ncodec_formats.timeline import Timeline
from tests.formats.files import make_header

PLAIN = Timeline(make_header())
OVERLAPPING = {"segment": (48000, 47520), "sample_rate": 48000, "preroll_frames": 0}
SEGMENTS = Timeline(make_header(**OVERLAPPING, packet_frames=150, block_frames=150))


@given(st.integers(0, 10**9))
@settings(deadline=None)
def test_a_frame_holds_its_samples(sample: int) -> None:
    frame = PLAIN.frame_of(sample)
    assert PLAIN.sample_of(frame) <= sample < PLAIN.sample_of(frame + 1)
    assert PLAIN.reach_of(frame) == PLAIN.sample_of(frame)


@given(st.integers(0, 10**9))
@settings(deadline=None)
def test_a_sample_is_in_the_last_segment_that_begins_before_it(sample: int) -> None:
    frame = SEGMENTS.frame_of(sample)
    assert frame % 150 == 0
    assert SEGMENTS.sample_of(frame) <= sample < SEGMENTS.sample_of(frame + 150)


def test_segments_overlap() -> None:
    assert (SEGMENTS.packet_samples, PLAIN.packet_samples) == (47520, 15 * 320)
    assert SEGMENTS.frame_rate == pytest.approx(150 * 48000 / 47520)
    assert PLAIN.frame_rate == 75
    assert [SEGMENTS.reach_of(frame) for frame in (0, 1, 150, 151, 300)] == [
        0, 320, 48000, 47520 + 320, 47520 + 48000,
    ]  # fmt: skip


@given(st.integers(0, 10**10), st.sampled_from([8000, 11025, 44100, 48000]))
@settings(deadline=None)
def test_no_sample_of_the_source_is_lost(samples: int, rate: int) -> None:
    timeline = Timeline(make_header(source_rate=rate))
    there = timeline.source_to_model(samples)
    assert timeline.model_to_source(there) >= samples
    assert timeline.model_to_source(max(there - 1, 0)) <= samples


@pytest.mark.parametrize(("out", "step"), [(None, 1), (24000, 1), (44100, 80), (8000, 3)])
def test_samples_that_fall_on_samples_of_the_output(out: int | None, step: int) -> None:
    timeline = Timeline(make_header(), out)
    assert timeline.alignment == step
    assert step * timeline.rate % 24000 == 0
    assert timeline.source_to_out(48000) == timeline.rate


def test_packets_that_begin_within_a_time() -> None:
    assert [PLAIN.frames_in(s) for s in (0, 0.19, 0.2, 1.0)] == [15, 15, 30, 90]


@pytest.mark.parametrize(("size", "bits"), [(2, 1), (1000, 10), (1024, 10), (1025, 11)])
def test_bits_of_a_code(size: int, bits: int) -> None:
    assert bits_of(size) == bits


def test_bitrates_go_up_with_codebooks() -> None:
    sizes = [2048, 1024, 1024]
    assert kbps_steps(sizes, 2, 12.5) == pytest.approx((0.275, 0.525, 0.775))
    assert kbps(sizes, 2, 12.5) == pytest.approx(0.775)
    assert [codebooks_within(k, sizes, 2, 12.5) for k in (0.275, 0.524, 0.525, 99)] == [1, 1, 2, 3]
    for bandwidth in (0.27, float("nan")):
        with pytest.raises(ArgumentError, match=r"at least 0\.275 for it"):
            codebooks_within(bandwidth, sizes, 2, 12.5, of=" for it")


@pytest.mark.parametrize("count", [0, 5, -1, 2.0, "2"])
def test_numbers_of_codebooks_that_a_file_does_not_have(count: object) -> None:
    with pytest.raises(ArgumentError, match="codebooks"):
        check_codebooks(count, 4)  # type: ignore[arg-type]
    assert check_codebooks(True + 3, 4) == 4
