"""A value that holds a secret does not show it: neither in a log line nor in a traceback."""

from __future__ import annotations

import dataclasses
import importlib
import io
import logging
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, SecretStr, ValidationError

import api
import cogs
import config
import db
import generation
from cli import logging_setup
from cogs.common.forms import Attached
from config import Settings
from generation.errors import ConfigurationError
from generation.images.c2pa import Credentials
from generation.jobs.job import ReplyTo

CANARY = "canary-4f9d2c71b0"
PEM = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n"
_SECRET = re.compile(r"token|secret|password|credential|(^|_)key$|(^|_)url$")
_HARMLESS = {
    "ReplyTo.token_expires_at",  # a time
    "Disclosure.credentials",  # a state
    "Services.credentials",  # hides its key itself
    "ResultContext.credentials",  # the same
    "Settings.discord_url",  # of this machine only
    "Settings.discord_token",  # SecretStr
    "Settings.c2pa_key",  # SecretStr
    "Settings.civitai_token",  # SecretStr
    "Settings.fleet_token",  # SecretStr
    "Settings.cloud_token",  # SecretStr
    "Settings.web_client_secret",  # SecretStr
    "Settings.web_url",  # where browsers go
    *(f"WebSettings.{name}" for name in ("url", "authorize_url", "discord_api_url")),  # the same
    "CivitaiFile.url",  # without the token
    "TokenizedPrompt.tokens",  # of a text model
    *(f"{field}.key" for field in ("Field", "Text", "Pick", "Choice", "File")),  # names of fields of a form
    "Lines.key",  # what lists it again
    "Texts.delimiter_key",  # the name of a node's input
    *(f"{rules}.key" for rules in ("RuleSet", "Build", "Screen")),  # hashes of rules
}


def values() -> Iterator[Any]:
    """Return one of every kind of value that holds a secret."""
    yield ReplyTo(application_id=1, channel_id=2, token=CANARY)
    yield Credentials(certificates="public", key=PEM)
    yield Attached(f"https://cdn.discordapp.com/ephemeral-attachments/1/2/a.png?hm={CANARY}", 3, "a.png")
    yield Settings(  # type: ignore[call-arg]
        discord_token=SecretStr(CANARY),
        civitai_token=SecretStr(CANARY),
        fleet_token=SecretStr(CANARY),
        cloud_token=SecretStr(CANARY),
        c2pa_key=SecretStr(PEM),
        database_url=f"postgresql://u:{CANARY}@h/d",
    )


@pytest.mark.parametrize("value", [*values()], ids=lambda value: type(value).__name__)
def test_no_secret_is_in_a_repr(value: Any) -> None:
    nested = {"in a dict": [value, (value,)]}
    for text in (repr(value), str(value), f"{value}", repr(nested), str([value])):
        assert CANARY not in text


def test_the_canary_is_there_to_be_found() -> None:
    """The control: the values do hold the secret."""
    reply_to, credentials, attached, settings = values()
    assert CANARY in reply_to.token and CANARY in credentials.key and CANARY in attached.url
    assert CANARY in settings.secrets and settings.secrets.count(CANARY) == 6


def test_every_field_that_sounds_like_a_secret_is_left_out_of_its_repr() -> None:
    shown = {f"{cls.__name__}.{name}" for cls in classes() for name in shown_fields(cls) if _SECRET.search(name)}
    assert shown <= _HARMLESS, f"give it repr=False: {sorted(shown - _HARMLESS)}"


def classes() -> Iterator[type]:
    for package in (generation, cogs, db, api):
        for module in modules(package):
            found = (each for each in vars(module).values() if isinstance(each, type))
            yield from (each for each in found if each.__module__ == module.__name__)
    yield Settings


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if "paintbox" not in found.name:
            yield importlib.import_module(found.name)


def shown_fields(cls: type) -> list[str]:
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls) if field.repr]
    if issubclass(cls, msgspec.Struct):
        return list(cls.__struct_fields__)
    if issubclass(cls, BaseModel):
        return [name for name, field in cls.model_fields.items() if field.repr]
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return list(cls._fields)
    return []


def test_a_settings_error_repeats_no_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValidationError) as refused:
        Settings(discord_token=[CANARY], database_url=[CANARY])  # type: ignore[arg-type, call-arg]
    assert CANARY not in str(refused.value)
    monkeypatch.setenv("ATELIER_DISCORD_URL", f"https://u:{CANARY}@example.org")
    with pytest.raises(ConfigurationError) as wrong:
        config.load()
    assert CANARY not in str(wrong.value)


def test_no_line_of_the_private_key_reaches_a_log() -> None:
    *_, settings = values()
    buffer = io.StringIO()
    handler = logging.StreamHandler(buffer)
    handler.setFormatter(logging_setup.Redacting(*settings.secrets))
    log = logging.getLogger("repr")
    log.addHandler(handler)
    try:
        log.error("token=%s key=%r url=%s", CANARY, PEM, settings.database_url)
    finally:
        log.removeHandler(handler)
    assert CANARY not in buffer.getvalue()
    assert buffer.getvalue().count(logging_setup.HIDDEN) == 3
