"""Limits of ECDC version 1, as SPEC.md states them; each is enforced before memory is taken."""

MAX_HEADER = 1 << 20
"""Bytes of the msgpack header."""
MAX_CODEBOOKS = 64
MAX_STREAMS = 8
MAX_CHANNELS = 8
MAX_CODEBOOK_SIZE = 1 << 16
MAX_PACKET = 1 << 20
"""Bytes of one packet, head and checks included."""
MAX_PACKET_FRAMES = 1 << 16
MAX_HOP = 1 << 16
MAX_RATE = 1 << 20
"""Hz, of the model and of the source."""
MAX_CHANNEL_MASK = (1 << 18) - 1
"""All speakers that WAVE names."""
MAX_SCALE = float(1 << 16)
"""RMS of a segment that a model divided it by: beyond that of 16-bit samples taken for floats."""
MAX_SEQUENCE = (1 << 32) - 1
MAX_COUNT = 1 << 48
"""Samples or frames in one file."""
DEFAULT_MAX_SECONDS = 100 * 3600.0
"""Longest timeline that a reader follows unless its caller lifts the limit."""
