"""Files of codes of any kind as a header and packets: `.ecdc` 1 and 0, `.dac`, `.npz`, ..."""

from ncodec.containers.content import Content, ForeignReader
from ncodec.containers.opening import check, load_any, open_links, read_content

__all__ = [
    "Content",
    "ForeignReader",
    "check",
    "load_any",
    "open_links",
    "read_content",
]
