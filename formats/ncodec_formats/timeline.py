"""Where frames of codes, samples of the model and samples of the source meet."""

from dataclasses import dataclass
from math import gcd

from .header import Header


@dataclass(frozen=True)
class Timeline:
    """The arithmetic of a header: places in frames, model samples, source and output samples.

    Args:
        header: of the link.
        out_rate: of the output in Hz; the source's if None.
    """

    header: Header
    out_rate: int | None = None

    @property
    def packet_samples(self) -> int:
        """Model samples from the start of a packet to that of the next."""
        header = self.header
        return header.packet_frames * header.hop if header.segment is None else header.segment[1]

    @property
    def frame_rate(self) -> float:
        """Frames a second; where segments overlap, those that are coded twice counted twice."""
        return self.header.packet_frames * self.header.sample_rate / self.packet_samples

    def sample_of(self, frame: int) -> int:
        """Returns the first model sample that belongs to a frame that begins a packet."""
        header = self.header
        if header.segment is None:
            return frame * header.hop
        return frame // header.packet_frames * header.segment[1]

    def frame_of(self, sample: int) -> int:
        """Returns the frame, or the first frame of the last segment, that has a model sample."""
        header = self.header
        if header.segment is None:
            return sample // header.hop
        return sample // header.segment[1] * header.packet_frames

    def reach_of(self, frame: int) -> int:
        """Returns how many model samples the frames before `frame` hold."""
        header = self.header
        if header.segment is None or frame == 0:
            return frame * header.hop
        packets = -(-frame // header.packet_frames) - 1
        return packets * header.segment[1] + (frame - packets * header.packet_frames) * header.hop

    def frames_in(self, seconds: float) -> int:
        """Returns the frames of the packets that begin within so many seconds."""
        packets = int(seconds * self.header.sample_rate / self.packet_samples) + 1
        return packets * self.header.packet_frames

    def model_to_source(self, samples: int) -> int:
        """Returns the most source samples that can have become `samples` of the model."""
        return samples * self.header.source_rate // self.header.sample_rate

    def source_to_model(self, samples: int) -> int:
        """Returns how many model samples `samples` of the source have become."""
        return -(-samples * self.header.sample_rate // self.header.source_rate)

    def source_to_out(self, samples: int) -> int:
        """Returns how many samples `samples` of the source become at the output's rate."""
        return -(-samples * self.rate // self.header.source_rate)

    @property
    def alignment(self) -> int:
        """Model samples between two that fall on a sample of the output exactly."""
        return self.header.sample_rate // gcd(self.header.sample_rate, self.rate)

    @property
    def rate(self) -> int:
        """Samples a second of the output."""
        return self.header.source_rate if self.out_rate is None else self.out_rate
