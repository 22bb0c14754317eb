"""Who chose a value of a request."""

from __future__ import annotations

from enum import StrEnum


class Origin(StrEnum):
    """Who chose it, the strongest first. What no one of these chose is the model's own."""

    TYPED = "typed"
    MEMBER = "member"
    CHANNEL = "channel"
    SERVER = "server"


MODEL, SHAPE, STYLE, SAMPLER, NEGATIVE, STEPS, GUIDANCE = (
    "model",
    "shape",
    "style",
    "sampler",
    "negative",
    "steps",
    "guidance",
)
"""The values that have defaults, by the names they are stored under."""
