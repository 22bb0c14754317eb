"""Settings come from the environment, from .env and from secret files; a bad one is refused by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import config
from cli.env_file import PREFIX, find_home
from generation.errors import ConfigurationError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in config.Settings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


def write(home: Path, text: str | bytes) -> None:
    (home / ".env").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_everything_has_a_default_but_the_token(tmp_path: Path) -> None:
    settings = config.load()
    assert settings.discord_token is None
    assert settings.model == "paintbox"
    assert settings.url_of_database == f"sqlite:///{tmp_path}/data/atelier.db"


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
    with pytest.raises(ConfigurationError, match=r"ATELIER_DISCORD_TOKEN_FILE names /nowhere/token"):
        config.load()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ATELIER_DEVICE", "gpu"),
        ("ATELIER_DEVICES", "cuda:0;cuda:1"),
        ("ATELIER_DEVICES", "auto,cpu"),
        ("ATELIER_DEVICES", "auto*2"),
        ("ATELIER_DEVICES", "cpu*0"),
        ("ATELIER_DEVICES", "cpu*33"),
        ("ATELIER_DEVICES", "cuda:0,"),
        ("ATELIER_MAX_ROWS", "many"),
        ("ATELIER_HEALTH_PORT", "70000"),
        ("ATELIER_SHUTDOWN_GRACE_S", "inf"),
        ("ATELIER_SHUTDOWN_GRACE_S", "nan"),
        ("ATELIER_SHUTDOWN_GRACE_S", "1e400"),
        ("ATELIER_IDLE_RELEASE_S", "-1"),
        ("ATELIER_MAX_ROWS", "9" * 5000),
        ("ATELIER_OWNER_IDS", "9" * 5000),
        ("ATELIER_OWNER_IDS", "1;2"),
        ("ATELIER_DATA_DIR", "a?b"),
        ("ATELIER_DATA_DIR", "a\nb"),
        ("ATELIER_DATA_DIR", "~nobody-of-that-name/data"),
        ("ATELIER_DISCORD_URL", "http://discord.example"),
        ("ATELIER_DISCORD_URL", "http://127.0.0.1.example.org:80"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=rf"^{variable} cannot be used"):
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
    with pytest.raises(ConfigurationError, match=r"^ATELIER_MODLE is not a setting\. Did you mean ATELIER_MODEL\?"):
        config.load()


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_MAX_ROWS", "")
    assert config.load().max_rows == 0


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        (b"\xef\xbb\xbfATELIER_DATA_DIR=wanted\n", "wanted"),
        ("ATELIER_DATA_DIR=wanted\r\nA=1\r\n".encode("utf-16"), "wanted"),
        (b"\xfe\xff" + "ATELIER_DATA_DIR=wanted".encode("utf-16-be"), "wanted"),
        ("ATELIER_DATA_DIR=wanted".encode("utf-32"), "wanted"),
        ('export ATELIER_DATA_DIR = "./my data" # mine\r\n', "my data"),
        ("ATELIER_DATA_DIR=wanted # a comment\n", "wanted"),
        ("atelier_data_dir=wanted\rA=1\r", "wanted"),
        ('ATELIER_DATA_DIR="C:\\new\\tables"\n', "C:\\new\\tables"),
        ('ATELIER_DATA_DIR="C:\\new\\"\nATELIER_MODEL="x"\n', "C:\\new\\"),
        ("ATELIER_DATA_DIR='\\\\server\\share'\n", "\\\\server\\share"),
        ("ATELIER_DATA_DIR=\u00a0wanted\u200b \n", "wanted"),
        ("ATELIER_DATA_DIR=wanted\nATELIER_DATA_DIR=\nATELIER_DATA_DIR=wanted\n", "wanted"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="where a backslash is no part of a name")
def test_a_file_of_any_editor_is_read_as_it_was_written(tmp_path: Path, text: str | bytes, folder: str) -> None:
    write(tmp_path, text)
    assert config.load().data_dir == tmp_path / folder


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"A=1\n# Schl\xfcssel\n", r"\.env is not UTF-8 text \(see line 2\)\. Save it as UTF-8\.$"),
        (
            "ATELIER_MODEL=x".encode("utf-16-le"),
            r"\.env is not UTF-8 text \(it holds NUL bytes\)\. Save it as UTF-8\.$",
        ),
        (b"\xff\xfeA\x00\x00\xd8", r"\.env is not UTF-8 text"),
        ('A=1\n\nATELIER_DISCORD_TOKEN="s3cret\nB=2\n', r"^Line 3 of .*\.env cannot be read\. Write NAME=value"),
        ("\n\nATELIER_ALLOW_DMS\n", r"^Line 3 of"),
        ("set ATELIER_MODEL=x", r"^Line 1 of"),
        ("ATELIER_MODEL: x", r"^Line 1 of"),
        ("ATELIER_MODEL=a\nATELIER_MODEL=b", r"^ATELIER_MODEL has two values in .*\.env\. Keep one"),
        ("ATELIER_DISCORD_TOKEN=s3cret\nATELIER_DISCORD_TOKEN_FILE=b", r"^ATELIER_DISCORD_TOKEN has two values"),
        ("ATELEIR_MODEL=x", r"^ATELEIR_MODEL is not a setting\. Did you mean ATELIER_MODEL\?$"),
        ('$env:ATELIER_MODEL="x"', r"MODEL is not a setting\. Did you mean ATELIER_MODEL\?$"),
        ("\u200bATELIER_MODEL=x", r"is not a setting\. Did you mean ATELIER_MODEL\?$"),
        ("ATELIER_HOME=/x", r"^ATELIER_HOME in \.env comes too late"),
        (b"#" * (2**20 + 1), r"\.env is larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence_without_its_content(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=says) as refused:
        config.load()
    assert "s3cret" not in str(refused.value)


@pytest.mark.skipif(os.name == "nt", reason="needs pipes with a name, and links")
@pytest.mark.parametrize("kind", ["folder", "pipe", "circle", "nowhere"])
def test_pipes_and_folders_are_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    file = tmp_path / ".env"
    making: dict[str, Callable[[], None]] = {
        "folder": file.mkdir,
        "pipe": lambda: os.mkfifo(file),
        "circle": lambda: file.symlink_to(file),
        "nowhere": lambda: file.symlink_to("gone"),
    }
    making[kind]()
    with pytest.raises(ConfigurationError, match=r"\.env is (a folder|a pipe|a link that leads in a circle|not there)"):
        config.load()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/dev/zero", "is a pipe or a device"),
        (".", "is a folder"),
        ("empty", "is empty"),
        ("a" * 300, "too long a name"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="has other devices")
def test_a_secret_file_that_is_no_file_is_named(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "empty").touch()
    write(tmp_path, f"ATELIER_DISCORD_TOKEN_FILE={name}\n")
    with pytest.raises(ConfigurationError, match=rf"^ATELIER_DISCORD_TOKEN_FILE names .*{says}"):
        config.load()


@pytest.mark.parametrize("secret", [b"\xef\xbb\xbfs3cret\r\n", "s3cret\n".encode("utf-16"), b'"s3cret"\n'])
def test_a_secret_is_what_is_in_the_file_and_not_how_it_was_saved(tmp_path: Path, secret: bytes) -> None:
    (tmp_path / "token").write_bytes(secret)
    write(tmp_path, "ATELIER_DISCORD_TOKEN_FILE=token\n")
    token = config.load().discord_token
    assert token is not None and token.get_secret_value() == "s3cret"


def test_the_environment_wins_also_over_a_secret_file_named_in_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path, "ATELIER_DISCORD_TOKEN_FILE=gone\n")
    monkeypatch.setenv("ATELIER_DISCORD_TOKEN", "s3cret")
    token = config.load().discord_token
    assert token is not None and token.get_secret_value() == "s3cret"


def test_a_path_begins_where_it_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In `.env` at the home folder; in the environment and on the command line where the shell stands."""
    write(tmp_path, "ATELIER_DATA_DIR=a\nATELIER_MODEL=./b\nATELIER_DATABASE_URL=sqlite:///c.db?timeout=3\n")
    settings = config.load()
    assert settings.data_dir == tmp_path / "a"
    assert settings.model == str(tmp_path / "b")
    assert settings.url_of_database == f"sqlite:///{tmp_path}/c.db?timeout=3"
    monkeypatch.setenv("ATELIER_DATA_DIR", "a")
    settings = config.load(model="./b")
    assert settings.data_dir == tmp_path / "elsewhere" / "a"
    assert settings.model == str(tmp_path / "elsewhere" / "b")
    assert config.load(model="b").model == "b", "a name"


def test_a_tilde_is_the_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME" if os.name != "nt" else "USERPROFILE", str(tmp_path))
    write(tmp_path, "ATELIER_DATA_DIR=~/a\nATELIER_MODEL=~/b\nATELIER_DATABASE_URL=sqlite:///~/c.db\n")
    settings = config.load()
    assert (settings.data_dir, settings.model) == (tmp_path / "a", str(tmp_path / "b"))
    assert settings.url_of_database == f"sqlite:///{tmp_path}/c.db"


def test_the_home_folder_is_the_programs_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    assert find_home(Path("../other")) == Path.cwd() / ".." / "other"
    assert find_home() == tmp_path
    monkeypatch.delenv("ATELIER_HOME")
    assert find_home() == Path(config.__file__).parent
    with pytest.raises(ConfigurationError, match=r"^The home folder .*gone is not there"):
        find_home(Path("gone"))


@pytest.mark.parametrize("name", [".env", "data/atelier.db"])
def test_files_of_earlier_versions_in_the_current_folder_are_not_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """A start without it would be a start with an empty database."""
    monkeypatch.delenv("ATELIER_HOME")
    left = Path.cwd() / name
    left.parent.mkdir(exist_ok=True)
    left.write_bytes("ATELIER_MODEL=x".encode("utf-16"))
    with pytest.raises(ConfigurationError, match=rf"^{left} is not read: .*Use --home {Path.cwd()}, or move it\."):
        config.load()
    assert config.load(tmp_path).model == "paintbox"
    left.write_text("OTHERS=1")
    if name == ".env":
        assert config.load().model == "paintbox", "another program's"


def test_variables_of_kubernetes_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_8790_TCP", "PORT_8790_TCP_ADDR"):
        monkeypatch.setenv(f"ATELIER_{name}", "tcp://10.0.0.1:8790")
    with pytest.raises(ConfigurationError, match="is not a setting"):
        config.load()
    monkeypatch.setenv("ATELIER_SERVICE_HOST", "10.0.0.1")
    assert config.load().health_port == 8790


@pytest.mark.parametrize(
    ("written", "meant"), [("Yes", True), ("ON", True), ("1", True), ("off", False), ('"no"', False)]
)
def test_yes_and_no_may_be_said_in_many_ways(monkeypatch: pytest.MonkeyPatch, written: str, meant: bool) -> None:
    monkeypatch.setenv("ATELIER_ALLOW_DMS", written)
    assert config.load().allow_dms is meant
    monkeypatch.setenv("ATELIER_ALLOW_DMS", "ja")
    with pytest.raises(ConfigurationError, match=r"^ATELIER_ALLOW_DMS cannot be used: it should be true or false\."):
        config.load()


def test_one_of_a_few_words_may_be_in_capitals_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_LOG_LEVEL", "debug")
    monkeypatch.setenv("ATELIER_DEVICE", "CPU")
    assert (config.load().log_level, config.load().device) == ("DEBUG", "cpu")


@pytest.mark.skipif(os.name == "nt", reason="its names are text")
def test_a_value_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DATA_DIR", os.fsdecode(b"/tmp/\xff"))
    with pytest.raises(ConfigurationError, match="ATELIER_DATA_DIR in the environment is not text"):
        config.load()


def test_a_one_line_key_gets_its_line_breaks(tmp_path: Path) -> None:
    write(tmp_path, 'ATELIER_C2PA_CERTIFICATES="-----BEGIN-----\\nabc\\n-----END-----"\n')
    assert config.load().c2pa_certificates == "-----BEGIN-----\nabc\n-----END-----"
