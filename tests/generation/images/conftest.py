"""A misbehaving decoder in place of the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.images import untrusted_decoder

_WILD = Path(__file__).parent / "wild"


@pytest.fixture
def wild_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the decoder of `wild/` where the real one would start, under the same limits."""
    assert _WILD.joinpath(*untrusted_decoder.__name__.split(".")).with_suffix(".py").is_file(), "it would not start"
    monkeypatch.setattr(untrusted_decoder, "_ROOT", _WILD)
