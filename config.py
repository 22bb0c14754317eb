"""All settings of Atelier, and the only reader of the environment. Nothing is read when this is imported.

Every setting is an environment variable `ATELIER_<NAME>`, or a line in `.env`. A secret may instead be kept in a file
that `ATELIER_<NAME>_FILE`, in either place, names, as container platforms provide them. A name that is no setting is
refused: a mistyped one would else be a choice that silently does not hold.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from generation.engine.settings import EngineSettings
from generation.errors import Misconfigured

PREFIX = "ATELIER_"
_ENV_FILE = ".env"


class Settings(BaseSettings):
    """One value for each choice an operator has. Frozen: a change needs a restart."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=_ENV_FILE,
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    discord_token: SecretStr | None = Field(None, description="The bot's token from Discord's developer portal.")
    discord_url: str | None = Field(
        None, description="A local Discord to speak to instead of the real one. Loopback addresses only."
    )
    proxy: SecretStr | None = Field(
        None, description="The HTTP proxy that leads outside; else HTTPS_PROXY, HTTP_PROXY and NO_PROXY say it."
    )
    data_dir: Path = Field(Path("data"), description="Where the database and the finished pictures are kept.")
    database_url: str | None = Field(
        None, repr=False, description="SQLAlchemy URL of the database. By default SQLite in the data folder."
    )
    model: str = Field(
        "paintbox",
        description="The default model: `paintbox` (built in), a name from `bot.py models list`, or a model folder.",
    )
    models_dir: Path | None = Field(
        None, description="Where `bot.py models` keeps its register and what it fetches; `models` in the data folder."
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = Field("auto", description="Where the model runs.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="Precision of the model.")
    memory: Literal["auto", "full", "sliced", "offload"] = Field(
        "auto", description="How models are kept in memory; auto decides from what is free at the start."
    )
    idle_release_s: float = Field(
        0.0, ge=0, description="Seconds without work after which models leave the memory; 0 keeps them."
    )
    max_rows: int = Field(
        0, ge=0, le=64, description="Largest forward pass in rows; a guided image takes two. 0 lets the device decide."
    )
    num_threads: int = Field(0, ge=0, le=256, description="CPU threads of the worker; 0 uses every core.")
    safety_checker: bool = Field(
        True, description="Check finished pictures with the model's safety checker, where it has one."
    )
    c2pa_certificates: str | None = Field(
        None, description="The certificate that content credentials are signed with, and its issuers, as PEM text."
    )
    c2pa_key: SecretStr | None = Field(None, description="The certificate's private key, as PEM text.")
    c2pa_algorithm: Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"] = Field(
        "es256", description="What the key signs with."
    )
    owner_ids: str = Field("", description="Discord ids of those who run the bot, with commas, for `/operator`.")
    allow_dms: bool = Field(
        False, description="Paint in direct messages too, where no server looks after what is painted."
    )
    guild_grace_days: int = Field(
        30, ge=1, le=3650, description="Days after which what is kept of a server that removed the bot is deleted."
    )
    max_waiting_per_user: int = Field(32, ge=1, description="Pictures one member may have waiting.")
    max_waiting_per_guild: int = Field(1000, ge=1, description="Pictures one server may have waiting.")
    shutdown_grace_s: float = Field(20.0, ge=0, description="Seconds that running pictures get to end at shutdown.")
    health_port: int = Field(8790, ge=0, le=65535, description="Loopback port of /healthz; 0 switches it off.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")

    failpoints: str = Field("", description="For crash tests: where the process shall kill itself. Leave it empty.")

    @field_validator("discord_url")
    @classmethod
    def _only_loopback(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:")):
            raise ValueError("must be a loopback address such as http://127.0.0.1:8080")
        return url

    @field_validator("discord_token", mode="before")
    @classmethod
    def _bare_token(cls, token: object) -> object:
        """As people paste it: with blanks, a line end, quotes or the word of the HTTP header around it."""
        if not isinstance(token, str):
            return token
        bare = token.strip().strip("\"'“”„").strip().removeprefix("Bot ").strip()
        if not all("!" <= sign <= "~" for sign in bare):
            raise ValueError("it holds blanks, line ends or other signs that no token has")
        return bare or None

    @field_validator("owner_ids")
    @classmethod
    def _only_ids(cls, ids: str) -> str:
        if not all(each.strip().isdecimal() for each in ids.split(",") if each.strip()):
            raise ValueError("must be ids with commas between them, such as 123,456")
        return ids

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may hold: the token, the lines of the private key, the password of the database."""
        token, key = (value.get_secret_value() if value else "" for value in (self.discord_token, self.c2pa_key))
        lines = (line for line in key.splitlines() if not line.startswith("-----"))
        return tuple(filter(None, (token, *lines, urlsplit(self.database_url or "").password)))

    @property
    def owners(self) -> frozenset[int]:
        return frozenset(int(each) for each in self.owner_ids.split(",") if each.strip())

    @property
    def url_of_database(self) -> str:
        return self.database_url or f"sqlite:///{(self.data_dir / 'atelier.db').as_posix()}"

    @property
    def engine(self) -> EngineSettings:
        return EngineSettings(
            device=self.device,
            dtype=self.dtype,
            memory=self.memory,
            idle_s=self.idle_release_s,
            measured=str(self.data_dir / "measured.json"),
            failed_loads=str(self.data_dir / "failed-models.json"),
            num_threads=self.num_threads,
            max_rows=self.max_rows,
        )

    @property
    def folder_of_models(self) -> Path:
        return self.models_dir or self.data_dir / "models"

    @property
    def pictures_dir(self) -> Path:
        return self.data_dir / "pictures"


def load(**overrides: object) -> Settings:
    """Read the environment and `.env`. Raises `Misconfigured` naming the variable at fault and what it may be."""
    variables = _variables()
    _refuse_unknown(variables)
    given = _secrets_from_files(variables) | {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as bad:
        first = bad.errors()[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        message = first["msg"].removeprefix("Value error, ")
        raise Misconfigured(
            problem=f"{name} cannot be used: {message}.", remedy="Change it, or leave it out."
        ) from None


def _variables() -> dict[str, str]:
    """What is set under our prefix in `.env` or the environment, which wins. In capitals: pydantic takes any case."""
    both = dotenv_values(_ENV_FILE) | os.environ
    return {name.upper(): value or "" for name, value in both.items() if name.upper().startswith(PREFIX)}


def _refuse_unknown(variables: Mapping[str, str]) -> None:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in variables:
        if name.removesuffix("_FILE") not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean {meant[0]}?" if meant else "docs/settings.md names all there are."
            raise Misconfigured(problem=f"{name} is no setting.", remedy=remedy)


def _secrets_from_files(variables: Mapping[str, str]) -> dict[str, object]:
    """`ATELIER_X_FILE=/path` stands for `ATELIER_X=<the file's text>`."""
    secrets: dict[str, object] = {}
    for name in Settings.model_fields:
        variable = f"{PREFIX}{name.upper()}_FILE"
        if path := variables.get(variable):
            secrets[name] = _read_secret(variable, Path(path))
    return secrets


def _read_secret(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{variable} names {path}, which cannot be read ({type(error).__name__})."
        raise Misconfigured(problem=problem, remedy="Check that the file is there and readable.") from None
