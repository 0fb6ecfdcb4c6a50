"""How much is sent: copies as packets are lost, fewer codebooks as the line fills up."""

from __future__ import annotations

from dataclasses import dataclass

COPY_LAYERS = 4
"""Two give most of what a copy can give, eight hardly more than four."""
COPIES_AT_FIRST = 1
"""While nothing is known of the line: what is lost before the first reports is lost for good."""
FEW, MANY = 0.02, 0.10
"""Shares of loss up to which no copy is sent, and one; above, three."""
FULL, ROOM = 0.06, 0.02
"""Seconds of delay above the least by which a line is full, and by which it has room again."""
PATIENCE, TRIAL = 5, 10
"""Reports, one a second: before less redundancy, and before more codebooks are tried."""


@dataclass(frozen=True)
class Report:
    """What a receiver tells once a second of the second before.

    Attributes:
        lost: share of packets that never came, 0 to 1.
        late: seconds by which packets came later than the fastest, their median.
    """

    lost: float
    late: float


class RateControl:
    """Decide on codebooks and copies from reports.

    A line on which delay grows carries too much: what was added last goes first, then a quarter of
    the codebooks, at least one of which stays. Loss without delay is a bad line, not a full one.
    """

    def __init__(self, codebooks: int, redundancy: tuple[int, int] | None = None) -> None:
        """Begin with all codebooks and one copy.

        Args:
            codebooks: the most to send.
            redundancy: layers and number of copies, always the same; None to adapt.
        """
        self._most, self._fixed = codebooks, redundancy
        self.codebooks = codebooks
        self._copies = COPIES_AT_FIRST
        self._calm, self._since = PATIENCE - 1, 0  # the first report may end it
        self._loss = 0.0
        self._least = self._quick = float("inf")
        self._full = False

    @property
    def redundancy(self) -> tuple[int, int]:
        """Layers of each copy, and how many copies."""
        if self._fixed is not None:
            layers, copies = self._fixed
        else:
            layers, copies = COPY_LAYERS, self._copies
        return min(layers, self.codebooks), copies

    def take(self, report: Report) -> None:
        """Take the next report."""
        self._least = min(self._least + 0.001, report.late)
        queue = report.late - self._least
        self._since += 1
        if queue > FULL:
            self._yield()
            return
        if queue > ROOM:
            self._since = 0
        elif self._since >= TRIAL and self.codebooks < self._most:
            self.codebooks, self._since = self.codebooks + 1, 0
        self._follow_loss(report.lost)

    def _yield(self) -> None:
        self._since = self._calm = 0
        if self._fixed is None and self._copies:
            self._copies = 0
        else:
            self.codebooks = max(1, self.codebooks - max(1, self.codebooks // 4))

    def _follow_loss(self, lost: float) -> None:
        """Send more copies at once, fewer when it has been better for some time."""
        self._loss += 0.5 * (lost - self._loss)
        worst = max(self._loss, lost / 2)
        wanted = 0 if worst < FEW else 1 if worst <= MANY else 3
        if wanted >= self._copies:
            self._copies, self._calm = wanted, 0
        else:
            self._calm += 1
            if self._calm >= PATIENCE:
                self._copies, self._calm = wanted, 0
