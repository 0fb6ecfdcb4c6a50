"""Code a stream of samples and decode it again, packet by packet.

Usage: python examples/stream.py [IN.wav [OUT.wav]]
"""

import sys

import numpy as np

from ncodec import load_model
from ncodec.audio import open_audio, open_writer
from ncodec.codec import StreamDecoder, StreamEncoder


def main() -> None:
    source = open_audio(sys.argv[1] if len(sys.argv) > 1 else "tests/data/speech.flac")
    model = load_model()
    encoder = StreamEncoder(
        model,
        sample_rate=source.sample_rate,
        channels=source.channels,
        bandwidth=6.0 * source.channels,
        packet_frames=1,
    )
    decoder = StreamDecoder(model, encoder.header)

    decoded, bits = [], 0
    while (samples := source.read(160)).shape[1]:  # as they come from a device: 6.7 ms here
        for packet in encoder.push(samples):
            bits += packet.codes.size * 10
            decoded.append(decoder.push(packet))
    for packet in encoder.finish():
        decoded.append(decoder.push(packet))
    decoded.append(decoder.finish(encoder.samples))

    audio = np.concatenate(decoded, axis=1)
    seconds = audio.shape[1] / source.sample_rate
    print(f"{seconds:.2f} s, {bits / seconds / 1000:.2f} kbps, as long as the source")
    assert audio.shape[1] == encoder.samples
    if len(sys.argv) > 2:
        with open(sys.argv[2], "wb") as file:
            writer = open_writer(
                file, container="wav", sample_rate=source.sample_rate, channels=source.channels
            )
            writer.write(audio)
            writer.finish()


if __name__ == "__main__":
    main()
