"""Packets into a file that stays readable up to the last one, whatever happens to the machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ncodec.live.devices import realtime
from ncodec_formats import EcdcWriter, Header, Packet

GROUP_SECONDS = 0.25
"""Frames of a live stream are gathered this far: a packet of one frame is mostly header."""


class PacketFile:
    """Write packets as they come, or gathered to `group_seconds`, each flushed.

    A second thread asks the disk once a second to keep what was written, so that the audio never
    waits for it. Where packets of one group have unlike numbers of layers, the least is kept.
    """

    SYNC_SECONDS = 1.0

    def __init__(self, file: BinaryIO, header: Header, group_seconds: float = 0.0) -> None:
        """Write the header; `file` stays the caller's to close."""
        frames = round(group_seconds * header.sample_rate / header.hop)
        self._group = header.packet_frames
        if header.segment is None:
            self._group = max(self._group, frames)
        self._file = file
        self._writer = EcdcWriter(file, replace(header, packet_frames=self._group))
        self._codes: list[NDArray[np.uint16]] = []
        self._frames = 0
        self._broken = False
        self._file.flush()
        self._ended = threading.Event()
        self._syncer = threading.Thread(target=self._sync, name="ncodec-sync", daemon=True)
        with realtime():
            self._syncer.start()

    def write(self, packet: Packet) -> None:
        """Take the next packet of the stream."""
        try:
            self._take(packet)
        except BaseException:
            self._broken = True
            raise

    def finish(self, rest: Iterable[Packet], source_samples: int) -> None:
        """Write the last packets and the end; not where writing has failed before."""
        self._ended.set()
        self._syncer.join()
        if self._broken:
            return
        for packet in rest:
            self._take(packet)
        if self._frames:
            self._put(self._frames)
        self._writer.finish(source_samples)
        self._file.flush()

    def _take(self, packet: Packet) -> None:
        if packet.scale is not None:
            self._writer.write(packet.codes, packet.scale)
            self._file.flush()
            return
        self._codes.append(packet.codes)
        self._frames += packet.codes.shape[2]
        while self._frames >= self._group:
            self._put(self._group)

    def _put(self, frames: int) -> None:
        layers = min(codes.shape[0] for codes in self._codes)
        joined = np.concatenate([codes[:layers] for codes in self._codes], axis=2)
        self._writer.write(joined[:, :, :frames])
        rest = joined[:, :, frames:]
        self._codes = [rest] if rest.shape[2] else []
        self._frames = rest.shape[2]
        self._file.flush()

    def _sync(self) -> None:
        with suppress(OSError, ValueError):  # a pipe, or closed meanwhile
            while not self._ended.wait(self.SYNC_SECONDS):
                os.fsync(self._file.fileno())
