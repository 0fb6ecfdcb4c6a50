"""Two sound devices that run as fast as the machine goes, each with a clock of its own."""

import numpy as np


class Devices:
    """Two devices with clocks of their own; `ppm` is how much the input's is faster."""

    def __init__(self, engine, *, ppm=0.0, block=240, output_block=300, jitter=0.0, source=None):
        self.engine = engine
        self.output_rate = engine.output_rate
        self.rate = engine.input_rate * (1 + ppm * 1e-6)
        self.block, self.output_block, self.jitter = block, output_block, jitter
        self.source = source or (lambda at, count: np.zeros(count))
        self.heard, self.sent = [], 0
        self.played = 0
        self.rng = np.random.default_rng(7)
        self.stalled = lambda now: False
        self.output_at = 0.0137
        self.lost = False

    def run(self, seconds, keep=True):
        """Call back in the order in which the clocks say, and let the worker work in between."""
        engine, late = self.engine, 0.03
        begin = self.sent / self.rate
        while (now := self.sent / self.rate) < begin + seconds:
            due = self.output_at + self.played / self.output_rate
            if now + self.block / self.rate <= due:
                x = self.source(self.sent, self.block).astype(np.float32)
                stamp = now + self.jitter * self.rng.uniform(-1, 1)
                engine.capture(x[:, None], stamp)
                self.sent += self.block
            else:
                out = np.full((self.output_block, 1), np.nan, np.float32)
                stamp = due + late + self.jitter * self.rng.uniform(-1, 1)
                engine.render(out, stamp, self.lost)
                self.lost = False
                self.played += self.output_block
                if keep:
                    self.heard.append(out[:, 0])
            while not self.stalled(now) and engine.work():
                pass
        return np.concatenate(self.heard) if keep else None
