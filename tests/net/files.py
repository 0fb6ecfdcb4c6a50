"""A whole call in this process, between files."""

import random
import time
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import soundfile

from ncodec.audio import open_audio, open_writer
from ncodec.net.call import Call
from ncodec.net.session import CallSession, Ends


def talk(folder, model, *transports):
    """Let all ends say half a second of noise, and check what each hears; all are closed."""
    dice = np.random.default_rng(1)
    parts = []
    with ExitStack() as stack:
        for number, transport in enumerate(transports):
            path = folder / f"said_{number}.wav"
            soundfile.write(path, dice.normal(0, 0.1, 12000).astype(np.float32), 24000)
            call = Call(model, transport.send, packet_frames=3, dice=random.Random(number))
            file = stack.enter_context((folder / f"heard_{number}.wav").open("wb"))
            sink = open_writer(file, container="wav", sample_rate=24000, channels=1)
            source = open_audio(path)
            stack.callback(source.close)
            session = CallSession(call, transport, Ends(source, sink))
            parts.append(SimpleNamespace(session=session, sink=sink, name=file.name))
        with ExitStack() as running:
            for part in parts:
                running.enter_context(part.session)
            while not all(part.session.over for part in parts):
                for part in parts:
                    part.session.check()
                    part.session.check_answer()
                time.sleep(0.02)
        for part, transport in zip(parts, transports, strict=True):
            transport.close()
            part.sink.finish()
    for part in parts:
        heard, _ = soundfile.read(part.name)
        assert len(heard) >= 12000
        assert np.std(heard) > 0.001
        assert part.session.stats().garbage == 0
