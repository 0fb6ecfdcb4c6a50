import io

import numpy as np
import pytest

from ncodec.codec import StreamEncoder
from ncodec.live.recording import PacketFile
from ncodec_formats import EcdcReader, Packet


def coded(model, seconds, **options):
    encoder = StreamEncoder(model, sample_rate=24000, channels=1, **options)
    x = np.random.default_rng(0).standard_normal((1, round(seconds * 24000))).astype("f4") * 0.1
    return encoder.header, [*encoder.push(x), *encoder.finish()], encoder.samples


def read(data, **options):
    reader = EcdcReader(io.BytesIO(data), **options)
    return [item for item in reader if isinstance(item, Packet)], reader


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0, 1.013])
def test_frames_are_gathered_and_nothing_is_lost(model, seconds):
    header, packets, samples = coded(model, seconds, packet_frames=1)
    out = io.BytesIO()
    file = PacketFile(out, header, group_seconds=0.25)
    for packet in packets:
        file.write(packet)
    file.finish([], samples)
    got, reader = read(out.getvalue())
    assert reader.total_samples == samples
    assert len(got) == -(-len(packets) // 19)
    if packets:
        want = np.concatenate([p.codes for p in packets], axis=2)
        assert np.array_equal(np.concatenate([p.codes for p in got], axis=2), want)


def test_cut_off_at_any_byte_it_is_readable_to_the_last_whole_packet(model):
    header, packets, _ = coded(model, 1.0, packet_frames=5)
    out, sizes = io.BytesIO(), []
    file = PacketFile(out, header)
    for packet in packets:
        file.write(packet)
        sizes.append(len(out.getvalue()))
    for whole, size in enumerate(sizes[:-1], start=1):
        for end in (size, size + 3, sizes[whole] - 1):
            got, _ = read(out.getvalue()[:end], keep_going=True)
            # Of the packet that was cut, the layers that are whole may come too.
            assert all(
                np.array_equal(a.codes, b.codes) for a, b in zip(got[:whole], packets, strict=False)
            )
            assert whole <= len(got) <= whole + 1


def test_where_the_number_of_layers_changes_the_least_is_kept(model):
    header, packets, samples = coded(model, 0.5, packet_frames=1, codebooks=4)
    out = io.BytesIO()
    file = PacketFile(out, header, group_seconds=0.25)
    for i, packet in enumerate(packets):
        kept = 2 if i == 3 else 4
        file.write(Packet(packet.sequence, packet.first_frame, packet.codes[:kept], None))
    file.finish([], samples)
    got, _ = read(out.getvalue())
    assert [packet.codes.shape[0] for packet in got] == [2, 4]


def test_a_broken_file_is_not_written_to_again(model):
    class Full(io.BytesIO):
        broken = False

        def write(self, data):
            if self.broken:
                raise OSError(28, "No space left on device")
            return super().write(data)

    header, packets, samples = coded(model, 0.2, packet_frames=1)
    out = Full()
    file = PacketFile(out, header)
    file.write(packets[0])
    out.broken = True
    with pytest.raises(OSError, match="No space"):
        file.write(packets[1])
    file.finish([], samples)
