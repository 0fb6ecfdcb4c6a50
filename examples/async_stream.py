"""Send coded sound over a TCP connection with asyncio; model work stays off the event loop.

The sender writes an ordinary ECDC stream as it is spoken, the listener decodes each packet when it
arrives. Usage: python examples/async_stream.py [IN.wav]
"""

import asyncio
import io
import sys
from collections.abc import AsyncIterator

import numpy as np

from ncodec import load_model
from ncodec.audio import open_audio
from ncodec.codec import FileDecoder, StreamEncoder
from ncodec_formats import EcdcWriter

model = load_model()


class Outbox:
    """The file that EcdcWriter writes to: gathers bytes until they are sent."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    async def send(self, stream: asyncio.StreamWriter) -> None:
        stream.write(bytes(self.data))
        self.data.clear()
        await stream.drain()


async def microphone(path: str) -> AsyncIterator[np.ndarray]:
    """Give 80 ms of a file at a time, as a device would (only faster)."""
    source = open_audio(path)
    while (samples := source.read(source.sample_rate * 80 // 1000)).shape[1]:
        yield samples
        await asyncio.sleep(0)


async def speak(path: str, stream: asyncio.StreamWriter) -> None:
    source = open_audio(path)
    encoder = StreamEncoder(
        model, sample_rate=source.sample_rate, channels=source.channels, packet_frames=6
    )
    outbox = Outbox()
    writer = EcdcWriter(outbox, encoder.header)  # type: ignore[arg-type]
    async for samples in microphone(path):
        for packet in await asyncio.to_thread(encoder.push, samples):
            writer.write(packet.codes, packet.scale)
        await outbox.send(stream)
    for packet in await asyncio.to_thread(encoder.finish):
        writer.write(packet.codes, packet.scale)
    writer.finish(encoder.samples)
    await outbox.send(stream)
    stream.close()
    await stream.wait_closed()


async def listen(reader: asyncio.StreamReader) -> int:
    """Decode in a thread that reads from the event loop; return the samples heard."""
    loop = asyncio.get_running_loop()

    class Inbox(io.RawIOBase):
        """A blocking file over the connection, for the decoder's thread."""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            data = asyncio.run_coroutine_threadsafe(reader.read(len(buffer)), loop).result()
            buffer[: len(data)] = data
            return len(data)

    def decode() -> int:
        heard = 0
        for block in FileDecoder(io.BufferedReader(Inbox()), model=model):
            heard += block.shape[1]
        return heard

    return await asyncio.to_thread(decode)


async def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else "tests/data/speech.flac"
    heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        heard.set_result(await listen(reader))
        stream.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, stream = await asyncio.open_connection("127.0.0.1", port)
    await speak(path, stream)
    source = open_audio(path)
    print(f"sent {source.samples} samples, heard {await heard}")
    assert await heard == source.samples
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
