"""How fast the stages of a group end, in words."""

from dataclasses import dataclass

SPEAK_EVERY = 10.0
"""Seconds between two lines about the rate."""


@dataclass
class Rate:
    """How fast the stages of a batch end."""

    noun: str
    total: int
    began: float
    spoke: float = 0.0

    def line(self, done: int, now: float, running: str = "") -> str:
        """Done, left and per second; empty where the last line is not old enough."""
        if now - max(self.spoke, self.began) < SPEAK_EVERY:
            return ""
        self.spoke, rate = now, done / (now - self.began)
        left = f", {(self.total - done) / rate:.0f} s left" if rate else ""
        return f"{self.noun}: {done} of {self.total} done, {running}{rate:.1f} per second{left}"
