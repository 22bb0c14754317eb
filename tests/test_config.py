"""Settings come from the environment, from .env and from secret files; a bad one is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import config
from generation.errors import Misconfigured


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in config.Settings.model_fields:
        monkeypatch.delenv(f"{config.PREFIX}{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_everything_has_a_default_but_the_token() -> None:
    settings = config.load()
    assert settings.discord_token is None
    assert settings.model == "paintbox"
    assert settings.url_of_database == "sqlite:///data/atelier.db"


def test_the_environment_wins_over_the_file_and_arguments_over_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("ATELIER_MODEL=from-file\nATELIER_DEVICE=cpu\n")
    monkeypatch.setenv("ATELIER_MODEL", "from-environment")
    assert config.load().model == "from-environment"
    assert config.load().device == "cpu"
    assert config.load(model="from-argument").model == "from-argument"


def test_a_secret_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    monkeypatch.setenv("ATELIER_DISCORD_TOKEN_FILE", str(tmp_path / "token"))
    token = config.load().discord_token
    assert token is not None
    assert token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(config.load())


def test_a_secret_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DISCORD_TOKEN_FILE", "/nowhere/token")
    with pytest.raises(Misconfigured, match=r"ATELIER_DISCORD_TOKEN_FILE names /nowhere/token"):
        config.load()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ATELIER_DEVICE", "gpu"),
        ("ATELIER_MAX_ROWS", "many"),
        ("ATELIER_HEALTH_PORT", "70000"),
        ("ATELIER_DISCORD_URL", "http://discord.example"),
        ("ATELIER_DISCORD_URL", "http://127.0.0.1.example.org:80"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured, match=rf"^{variable} cannot be used"):
        config.load()


def test_a_secret_file_may_be_named_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / ".env").write_text(f"ATELIER_DISCORD_TOKEN_FILE={tmp_path / 'token'}\n")
    token = config.load().discord_token
    assert token is not None
    assert token.get_secret_value() == "s3cret"


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_mistyped_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str) -> None:
    if where == "file":
        (tmp_path / ".env").write_text("ATELIER_MODLE=mine\nOTHERS=1\n")
    else:
        monkeypatch.setenv("ATELIER_MODLE", "mine")
    with pytest.raises(Misconfigured, match=r"^ATELIER_MODLE is no setting\. Did you mean ATELIER_MODEL\?"):
        config.load()


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_MAX_ROWS", "")
    assert config.load().max_rows == 0
