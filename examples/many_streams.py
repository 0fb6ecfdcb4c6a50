"""Code many mono streams at once: one step of the model takes a frame of each.

A server of calls does this. A frame alone reads all weights to multiply one row; together they are
read once for all. Each stream gets the codes that it would get alone.

Usage: python examples/many_streams.py [STREAMS [FRAMES]]
"""

import sys
import time

import torch

from ncodec import load_model
from ncodec.codec import StreamEncoder
from ncodec_formats import Packet, encode_packet

CODEBOOKS = 8  # 6 kbps


@torch.inference_mode()
def main() -> None:
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 75
    model = load_model()
    header = StreamEncoder(
        model, sample_rate=model.sample_rate, channels=1, codebooks=CODEBOOKS, packet_frames=1
    ).header
    audio = 0.1 * torch.randn(streams, 1, frames * model.hop)

    begin = time.perf_counter()
    encoder = model.encoder_state(streams, codebooks=CODEBOOKS)
    decoder = model.decoder_state(streams)
    for number, samples in enumerate(audio.split(model.hop, dim=-1)):
        (chunk,), encoder = model.encode_step(samples, encoder)
        packets = [
            encode_packet(header, Packet(number, number, codes[:, None].numpy()))
            for codes in chunk.codes
        ]
        decoded, decoder = model.decode_step(chunk, decoder)  # [streams, 1, samples]
    share = (time.perf_counter() - begin) * model.frame_rate / frames
    print(f"{streams} streams, {len(packets[0])} bytes a packet: {share:.2f} of real time")
    assert decoded.shape == (streams, 1, model.hop)


if __name__ == "__main__":
    main()
