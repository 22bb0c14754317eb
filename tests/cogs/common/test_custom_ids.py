"""Every `custom_id` ever sent is still read, and written unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogs.common.components import PersistentButton
from cogs.common.custom_ids import CustomId, Kind, find_job_id
from cogs.common.messages import Action

JOB = "0HbXz7mD3kQ9pLw2RtYvAe"
SAMPLES = {  # frozen: messages of years ago hold these
    f"atelier:vary:{JOB}:0": (Kind.BUTTON, "vary", f"{JOB}:0", JOB),
    f"atelier:up:{JOB}:3": (Kind.BUTTON, "up", f"{JOB}:3", JOB),
    f"atelier:reroll:{JOB}": (Kind.BUTTON, "reroll", JOB, JOB),
    f"atelier:cancel:{JOB}": (Kind.BUTTON, "cancel", JOB, JOB),
    f"atelier:zoomhalf:{JOB}:1": (Kind.BUTTON, "zoomhalf", f"{JOB}:1", JOB),
    f"atelier:again:{JOB}:0": (Kind.BUTTON, "again", f"{JOB}:0", JOB),
    "atelier:history:1764356400000000:a:6120636174": (
        *(Kind.BUTTON, "history", "1764356400000000:a:6120636174"),
        None,
    ),
    "atelier:history::f:": (Kind.BUTTON, "history", ":f:", None),
    f"atelier:open:{JOB}": (Kind.BUTTON, "open", JOB, JOB),
    "atelier:page:queue:2": (Kind.BUTTON, "page", "queue:2", None),
    "atelier:purge:1234567890123456789": (Kind.BUTTON, "purge", "1234567890123456789", None),
    "atelier:start:0a1b2c3d4e": (Kind.BUTTON, "start", "0a1b2c3d4e", None),
    f"atelier:remix:{JOB}": (Kind.BUTTON, "remix", JOB, JOB),
    "atelier:style:": (Kind.BUTTON, "style", "", None),
    f"atelier-menu:{JOB}": (Kind.MENU, "", JOB, JOB),
    "atelier-set:setup:default_model": (Kind.SETTING, "setup", "default_model", None),
    "atelier-set:styles:style_remove": (Kind.SETTING, "styles", "style_remove", None),
    f"atelier-mod:dismiss:{JOB}": (Kind.REVIEW, "dismiss", JOB, JOB),
    f"atelier-mod:block:{JOB}": (Kind.REVIEW, "block", JOB, JOB),
}
FOREIGN = [
    "",
    "x" * 100,
    "atelier",
    "atelier:vary",
    "atelier:vary:../../etc/passwd",
    "atelier:VARY:0",
    f"atelier-menu:{JOB}\n",
    "atelier-set:Page:key",
    "atelier-mod:dismiss:short",
    f"other:vary:{JOB}:0",
    f" atelier:vary:{JOB}:0",
]


@pytest.mark.parametrize("text", SAMPLES)
def test_a_custom_id_is_read_and_written_as_it_always_was(text: str) -> None:
    kind, name, subject, job_id = SAMPLES[text]
    assert CustomId.parse(text) == CustomId(kind, name, subject)
    assert str(CustomId(kind, name, subject)) == text
    assert CustomId(kind, name, subject).job_id == job_id


@pytest.mark.parametrize("text", FOREIGN)
def test_a_foreign_or_forged_custom_id_is_not_read(text: str) -> None:
    assert CustomId.parse(text) is None


@given(st.text(max_size=100))
def test_a_custom_id_round_trips(text: str) -> None:
    found = CustomId.parse(text)
    assert found is None or str(found) == text


def test_every_button_is_known_by_its_custom_id() -> None:
    for action in Action:
        text = f"atelier:{action}:{JOB}:0"
        assert CustomId.parse(text) == CustomId(Kind.BUTTON, action, f"{JOB}:0")
        assert PersistentButton.__discord_ui_compiled_template__.fullmatch(text)


def test_a_message_shows_the_job_that_its_buttons_name() -> None:
    assert find_job_id(["foreign", "atelier:page:queue:2", f"atelier:up:{JOB}:0"]) == JOB
    assert find_job_id([f"other:up:{JOB}", f"atelier:up:{JOB[:-1]}"]) is None
    assert find_job_id([]) is None
