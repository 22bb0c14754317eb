"""No secret reaches a log, from any logger."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from cli import logging_setup
from cli.json_logs import build_formatter
from generation.log_context import about

TOKEN = "MTIz.canary.4567890123456789012345678901234567"
QUOTED = 'a password with "quotes" and ü'
Said = tuple[logging.Logger, io.StringIO]
INTERACTION = "aW50ZXJhY3Rpb246" + "x" * 100


JOB, IMAGE = "0123456789abcdefghijkl", "0123456789abcdefghijkl-2"


@pytest.fixture(params=["text", "json"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def said(form: str) -> Iterator[Said]:
    buffer = io.StringIO()
    handler = logging.StreamHandler(buffer)
    inner = build_formatter() if form == "json" else None
    handler.setFormatter(logging_setup.Redacting(TOKEN, QUOTED, inner=inner))
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


def test_a_secret_is_taken_out_as_json_writes_it_too(said: Said) -> None:
    log, buffer = said
    log.error("password=%s", QUOTED)
    assert "quotes" not in buffer.getvalue()
    assert logging_setup.HIDDEN in buffer.getvalue()


@pytest.mark.parametrize("form", ["json"], indirect=True)
def test_a_line_of_json_has_the_fields_of_the_event(said: Said) -> None:
    log, buffer = said
    log.warning("job=%s guild=%s action=kept reason=%s", JOB, 5, "no rights, job=other level=1\nand more")
    line = json.loads(buffer.getvalue())
    assert buffer.getvalue().count("\n") == 1
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": f"job={JOB} guild=5 action=kept reason=no rights, job=other level=1\nand more",
        "level": "warning",
        "logger": "canary",
        "job": JOB,
        "guild": "5",
        "action": "kept",
        "reason": "no rights, job=other level=1\nand more",
    }


@pytest.mark.parametrize("form", ["json"], indirect=True)
def test_a_traceback_is_one_line_of_json_and_no_text_becomes_a_field(said: Said) -> None:
    log, buffer = said
    try:
        raise ValueError("refused")
    except ValueError:
        log.exception("We are rate limited. level=none event=none")
    line = json.loads(buffer.getvalue())
    assert "ValueError: refused" in line["exception"]
    assert (line["level"], line["event"]) == ("error", "We are rate limited. level=none event=none")


async def test_each_line_about_a_job_carries_it(said: Said, form: str) -> None:
    log, buffer = said

    async def follow() -> None:
        about(JOB)
        log.warning("We are being rate limited.")

    await asyncio.create_task(follow())
    log.warning("image=%s attempt=1 action=done", IMAGE)
    log.warning("job=%s action=delivered", JOB)
    log.warning("action=draining")
    lines = buffer.getvalue().splitlines()
    if form == "json":
        assert [json.loads(line).get("job") for line in lines] == [JOB, JOB, JOB, None]
    else:
        assert [line.count(f"job={JOB}") for line in lines] == [1, 1, 1, 0]


def test_the_setting_chooses_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[logging.Handler] = []
    monkeypatch.setattr(logging, "basicConfig", lambda level, handlers: chosen.extend(handlers))
    for form in ("text", "json"):
        logging_setup.configure_logging("INFO", form=form, secrets=(TOKEN,))
    record = logging.LogRecord("canary", logging.INFO, "", 0, f"token={TOKEN} action=up", (), None)
    text, as_json = (each.format(record) for each in chosen if isinstance(each, logging.StreamHandler))
    assert text.endswith("canary token=[secret] action=up")
    assert json.loads(as_json)["action"] == "up"


def test_the_last_errors_are_kept_in_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.Logger("root")
    monkeypatch.setattr(logging, "getLogger", lambda name=None: root)
    monkeypatch.setattr(logging, "basicConfig", lambda level, handlers: [*map(root.addHandler, handlers)])
    logging_setup.configure_logging("INFO", secrets=(TOKEN,))
    root.info("calm")
    for number in range(logging_setup.MAX_RECENT + 1):
        root.error("token=%s number=%s\nmore", TOKEN, number)
    found = logging_setup.list_recent_errors()
    assert len(found) == logging_setup.MAX_RECENT and found[0].endswith("token=[secret] number=20")
    assert not any("calm" in line or "more" in line for line in found)
