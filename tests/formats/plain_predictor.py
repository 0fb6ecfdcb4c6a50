"""Kind 1 after SPEC.md, once more, in Python's whole numbers alone; the worked example in words."""

from ncodec_formats.entropy import Tables

LOW, HIGH = 1 << 24, 1 << 32


def _clamp(value: int, least: int, most: int) -> int:
    return max(least, min(most, value))


class Layer:
    """What predicts a layer of a packet: `codes` `[K][F]` of one stream."""

    def __init__(self, tables: Tables, k: int, codes: list[list[int]]) -> None:
        self.tables, self.k, self.codes = tables, k, codes
        self.its = tables.layers[k]
        self.blocks = len(self.its.block_bias)
        self.count = len(self.its.entry_bias) // self.blocks

    def seen(self, t: int, layers: int) -> list[int]:
        width = self.tables.embeddings[0].shape[1]
        if not 0 <= t < len(self.codes[0]):
            return [0] * width
        return [
            sum(int(self.tables.embeddings[j][self.codes[j][t], d]) for j in range(layers))
            for d in range(width)
        ]

    def context(self, t: int) -> list[int]:
        tables, k = self.tables, self.k
        past = k + 1 if k < tables.own else k
        parts = [self.seen(t, k)]
        parts += [self.seen(t - n, past) for n in range(1, tables.before + 1)]
        parts += [self.seen(t + n, k) for n in range(1, tables.after + 1)]
        return [_clamp(value, -127, 127) for part in parts for value in part]

    def units(self, x: list[int]) -> list[int]:
        sums = _product(x, self.its.inputs, self.its.input_bias)
        return [_clamp((p + 16) >> 5, 0, 127) for p in sums]

    def block_logits(self, a: list[int]) -> list[int]:
        return _product(a, self.its.blocks, self.its.block_bias)

    def place_logits(self, a: list[int], block: int) -> list[int]:
        whole = slice(block * self.count, (block + 1) * self.count)
        return _product(a, self.its.entries[:, whole], self.its.entry_bias[whole])

    def frequencies(self, logits: list[int]) -> list[int]:
        steps = [min((max(logits) - value + 64) >> 7, 255) for value in logits]
        weights = [int(self.tables.weights[step]) for step in steps]
        inverse = (1 << 42) // sum(weights)
        return [max(weight * inverse >> 26, 1) for weight in weights]

    def place_of(self, t: int) -> tuple[int, int]:
        return divmod(int(self.its.places[self.codes[self.k][t]]), self.count)


def _product(x: list[int], matrix, bias) -> list[int]:
    return [
        sum(value * int(weight) for value, weight in zip(x, column, strict=True)) + int(b)
        for column, b in zip(matrix.T, bias, strict=True)
    ]


class Encoder:
    """The range coder: one number as wide as it needs to be, without carries."""

    def __init__(self) -> None:
        self.value, self.bytes, self.range = 0, 4, HIGH - 1
        self.steps: list[str] = []

    def push(self, frequencies: list[int], symbol: int) -> None:
        total, begin = sum(frequencies), sum(frequencies[:symbol])
        part = self.range // total
        self.value += part * begin
        last = symbol == len(frequencies) - 1
        self.range = self.range - part * begin if last else part * frequencies[symbol]
        while self.range < LOW:
            self.value, self.range, self.bytes = self.value << 8, self.range << 8, self.bytes + 1
        self.steps.append(f"{self.value % HIGH:08x} {self.range:08x}")

    def finish(self) -> bytes:
        for zeros in range(32, -1, -1):
            value = -(-self.value >> zeros) << zeros
            if value < self.value + self.range:
                break
        return value.to_bytes(self.bytes, "big").rstrip(b"\0")


def order(tables: Tables, k: int, frames: int) -> list[tuple[int, bool]]:
    """The symbols of a layer of one stream: frames, each with whether it is the place."""
    if k < tables.own:
        return [(t, place) for t in range(frames) for place in (False, True)]
    return [(t, place) for place in (False, True) for t in range(frames)]


def encode(tables: Tables, codes: list[list[int]], k: int) -> Encoder:
    layer, coder = Layer(tables, k, codes), Encoder()
    for t, place in order(tables, k, len(codes[0])):
        a, symbols = layer.units(layer.context(t)), layer.place_of(t)
        logits = layer.place_logits(a, symbols[0]) if place else layer.block_logits(a)
        coder.push(layer.frequencies(logits), symbols[place])
    return coder


def example(tables: Tables, codes: list[list[int]]) -> list[str]:
    """The lines of SPEC.md's example."""
    lines = [_line("k t", "x", "a", "blocks: l, f", "places of its block: l, f")]
    for k in range(len(codes)):
        layer = Layer(tables, k, codes)
        for t in range(len(codes[0])):
            x = layer.context(t)
            a, block = layer.units(x), layer.place_of(t)[0]
            logits = layer.block_logits(a), layer.place_logits(a, block)
            cells = [_row(x), _row(a)]
            cells += [f"{_row(one)}, {_row(layer.frequencies(one))}" for one in logits]
            lines.append(_line(f"{k} {t}", *cells))
    for k in range(len(codes)):
        coder = encode(tables, codes, k)
        data = coder.finish()
        lines.append(f"layer {k}: low, range after each symbol")
        lines += [
            "  " + " | ".join(coder.steps[at : at + 5]) for at in range(0, len(coder.steps), 5)
        ]
        lines.append(f"  ends as {data.hex(' ')}")
    return lines


def _row(values: list[int]) -> str:
    return " ".join(map(str, values))


def _line(*cells: str) -> str:
    widths = (4, 22, 10, 26, 0)
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
