"""From an exception to the shown and logged text; and the small parts around discord.py."""

from __future__ import annotations

import logging

import discord
import pytest
from discord import app_commands

from cogs.command_sync import _strip_defaults
from cogs.common.components import build_custom_id
from cogs.common.custom_ids import CustomId
from cogs.common.messages import Action, Button
from cogs.endpoints import set_base_url
from cogs.error_handler import translate
from generation.errors import ConfigurationError, NotAcceptedError, UnknownJobError
from generation.requests.errors import OutOfRangeError, UnknownSamplerError


def test_our_own_errors_speak_for_themselves() -> None:
    error = OutOfRangeError(name="Steps", low=1, high=150, value=0)
    assert translate(error).text == "Steps must be a whole number from 1 to 150, not 0."
    assert translate(error).level == logging.INFO
    assert translate(NotAcceptedError()).level == logging.WARNING


def test_a_refused_value_of_masses_is_still_an_answer() -> None:
    text = translate(UnknownSamplerError(name="x" * 5000, samplers="Euler")).text
    assert text.startswith("There is no sampler named “xxx") and text.endswith("…") and len(text) <= 2000


def test_wrapped_errors_are_unwrapped() -> None:
    @app_commands.command()
    async def paint(interaction: discord.Interaction) -> None:
        """Paint."""

    wrapped = app_commands.CommandInvokeError(paint, UnknownJobError())
    assert translate(wrapped).text == str(UnknownJobError())


def test_an_unforeseen_error_gets_an_incident_number() -> None:
    answer = translate(RuntimeError("secret detail"))
    assert answer.incident is not None
    assert answer.incident in answer.text
    assert "secret" not in answer.text
    assert answer.level == logging.ERROR


def test_a_custom_id_is_short_enough_and_found_again() -> None:
    for action in Action:
        custom_id = build_custom_id(Button(action, "j" * 22 + ":3", "x"))
        assert len(custom_id) <= 100
        assert CustomId.parse(custom_id) is not None
    assert CustomId.parse("atelier:vary:../../etc/passwd") is None
    assert CustomId.parse("x" * 100) is None


@pytest.mark.parametrize("url", ["https://discord.com", "http://10.0.0.1:80", "http://127.0.0.1.evil.example:1", "x"])
def test_only_this_machine_can_stand_in_for_discord(url: str) -> None:
    before = discord.http.Route.BASE
    with pytest.raises(ConfigurationError):
        set_base_url(url)
    assert before == discord.http.Route.BASE


def test_a_command_is_the_same_with_what_discord_adds() -> None:
    ours = {"name": "imagine", "type": 1, "nsfw": False, "options": [{"name": "prompt", "type": 3, "required": True}]}
    theirs = {
        "id": "1",
        "version": "2",
        "name": "imagine",
        "type": 1,
        "default_member_permissions": None,
        "options": [{"name": "prompt", "type": 3, "required": True, "name_localizations": None}],
    }
    assert _strip_defaults(ours) == _strip_defaults(theirs)
    theirs["options"][0]["required"] = False
    assert _strip_defaults(ours) != _strip_defaults(theirs)
