"""Counts what Discord's own description has judged over a run of the tests."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Tally:
    """How many messages Discord's own description has judged over the run, and what it found."""

    num_servers: int = 0
    judged: int = 0
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the findings of another process."""
        self.num_servers += other.num_servers
        self.judged += other.judged
        self.violations += other.violations
        self.notes += other.notes
