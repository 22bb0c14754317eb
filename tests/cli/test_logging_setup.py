"""No secret reaches a log, from any logger."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from cli import logging_setup

TOKEN = "MTIz.canary.4567890123456789012345678901234567"
Said = tuple[logging.Logger, io.StringIO]
INTERACTION = "aW50ZXJhY3Rpb246" + "x" * 100


@pytest.fixture
def said() -> Iterator[Said]:
    buffer = io.StringIO()
    handler = logging.StreamHandler(buffer)
    handler.setFormatter(logging_setup.Redacting(TOKEN))
    log = logging.getLogger("canary")
    log.addHandler(handler)
    yield log, buffer
    log.removeHandler(handler)


def test_the_bots_token_is_taken_out_of_text_arguments_and_tracebacks(said: Said) -> None:
    log, buffer = said
    log.error("Bot %s", TOKEN)
    try:
        raise ValueError(f"refused {TOKEN}")
    except ValueError:
        log.exception("failed")
    assert TOKEN not in buffer.getvalue()
    assert buffer.getvalue().count(logging_setup.HIDDEN) == 2


def test_an_interactions_token_is_taken_out_of_addresses(said: Said) -> None:
    """As discord.py writes them when it is rate-limited, at WARNING."""
    log, buffer = said
    address = f"https://discord.com/api/v10/webhooks/123/{INTERACTION}/messages/@original"
    log.warning("We are being rate limited. PATCH %s responded with 429.", address)
    log.warning("POST https://discord.com/api/v10/interactions/9/%s/callback", INTERACTION)
    assert INTERACTION not in buffer.getvalue()
    assert "webhooks/123/[secret]/messages/@original" in buffer.getvalue()
