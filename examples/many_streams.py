"""Code many mono streams at once: one step of the model takes a frame of each.

A server of calls does this. A frame alone reads all weights to multiply one row; together they are
read once for all. Half of the streams begin later: they run apart while they begin, then join the
others. Each stream gets the codes that it would get alone.

Usage: python examples/many_streams.py [STREAMS [FRAMES]]
"""

import sys
import time

import torch

from ncodec import load_model
from ncodec.codec import StreamEncoder
from ncodec_formats import Packet, encode_packet

CODEBOOKS = 8  # 6 kbps
BEGINNING = 3  # frames until a stream of this model can join others


@torch.inference_mode()
def main() -> None:
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 75
    model = load_model()
    header = StreamEncoder(
        model, sample_rate=model.sample_rate, channels=1, codebooks=CODEBOOKS, packet_frames=1
    ).header
    audio = 0.1 * torch.randn(streams, 1, frames * model.hop)

    def begin(count: int):
        return model.encoder_state(count, codebooks=CODEBOOKS), model.decoder_state(count)

    def step(samples, states):
        (chunk,), encoder = model.encode_step(samples, states[0])
        decoded, decoder = model.decode_step(chunk, states[1])  # [streams, 1, samples]
        return chunk.codes, decoded, (encoder, decoder)

    started = time.perf_counter()
    early = streams - streams // 2
    batches = [(slice(0, early), begin(early))]
    for number, samples in enumerate(audio.split(model.hop, dim=-1)):
        if number == 1 and streams > early:
            batches.append((slice(early, streams), begin(streams - early)))
        if number == 1 + BEGINNING and len(batches) == 2:
            both = zip(*(states for _, states in batches), strict=True)
            batches = [(slice(0, streams), tuple(model.stack_rows(states) for states in both))]
        for i, (rows, states) in enumerate(batches):
            codes, decoded, after = step(samples[rows], states)
            batches[i] = rows, after
            packets = [
                encode_packet(header, Packet(number, number, one[:, None].numpy())) for one in codes
            ]
    speed = frames / model.frame_rate / (time.perf_counter() - started)
    print(f"{streams} streams, {len(packets[0])} bytes a packet: {speed:.1f}x real time, each")
    assert decoded.shape == (streams, 1, model.hop) or len(batches) == 2


if __name__ == "__main__":
    main()
