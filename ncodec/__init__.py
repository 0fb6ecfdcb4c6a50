"""ncodec: a streaming neural audio codec."""

__version__ = "0.1.0"
