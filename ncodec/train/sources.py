"""Which recordings a run hears, under the name that scripts know; see `ncodec.datasets`."""

from ncodec.datasets.catalogue import Clip, describe, find_clips

__all__ = ["Clip", "describe", "find_clips"]
