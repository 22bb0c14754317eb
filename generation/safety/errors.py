"""What no setting allows. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import NotAllowedError


class MinorSafetyError(NotAllowedError):
    """I do not paint that."""
