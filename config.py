"""All settings of Atelier. Nothing is read when this is imported; where they are written, `env_file` says.

Every setting is an environment variable `ATELIER_<NAME>`, or a line in `.env`. A secret may instead be kept in a file
that `ATELIER_<NAME>_FILE`, in either place, names, as container platforms provide them. A name that is no setting is
refused: a mistyped one would else be a choice that silently does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, ValidationError, ValidationInfo
from pydantic.functional_validators import AfterValidator, field_validator
from pydantic_core import ErrorDetails

from cli.api_settings import ApiChoices
from cli.cloud_settings import CloudChoices
from cli.env_file import ENV_FILE, PREFIX, Written, find_home, read_written, refuse_left_behind
from cli.monitoring_settings import MonitoringChoices
from generation.errors import ConfigurationError
from generation.fleet.address import read_address
from generation.loopback import is_loopback_url
from generation.workers.devices import DEVICE, check_devices, read_devices
from generation.workers.engine_settings import CheckerThresholds, EngineSettings

_DEFAULT_DATA = "data"
_DATABASE = "atelier.db"
_PATHS = ("data_dir", "models_dir")
_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!:memory:|file:)([^?]+)(.*)", re.DOTALL)
_MAX_ID = 2**63 - 1
_YEAR_S = 366 * 86_400
THRESHOLDS = CheckerThresholds()
_MEANT = {
    "bool_parsing": "it should be true or false",
    "int_parsing": "it should be a whole number",
    "int_parsing_size": "it should be a whole number",
    "int_from_float": "it should be a whole number",
    "float_parsing": "it should be a number, without a unit",
}


def _threshold(default: float, what: str) -> Any:
    text = f"Probability that {what} above which a picture is kept back. Lower is stricter; 1 never does."
    return Field(default, ge=0, le=1, allow_inf_nan=False, description=text)


class Settings(ApiChoices, CloudChoices, MonitoringChoices):
    """One value for each choice an operator has. Frozen: a change needs a restart."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    discord_token: SecretStr | None = Field(None, description="The bot's token from Discord's developer portal.")
    discord_url: str | None = Field(
        None, description="A local Discord to speak to instead of the real one. Loopback addresses only."
    )
    proxy: SecretStr | None = Field(
        None, description="The HTTP proxy that leads outside; else HTTPS_PROXY, HTTP_PROXY and NO_PROXY say it."
    )
    data_dir: Path = Field(Path("data"), description="Where the database and the finished pictures are kept.")
    database_url: str | None = Field(
        None,
        repr=False,
        description="Where the data is kept: sqlite:///FILE or postgresql://ROLE@HOST/NAME. By default SQLite here.",
    )
    model: str = Field(
        "paintbox",
        description="The default model: `paintbox` (built in), a name from `bot.py models list`, or a model folder.",
    )
    models_dir: Path | None = Field(
        None, description="Where `bot.py models` keeps its register and what it fetches; `models` in the data folder."
    )
    civitai_token: SecretStr | None = Field(
        None, description="An API key of your Civitai account, for `models add` of what needs a login there."
    )
    device: str = Field(
        "auto", description="Where the model runs: `auto`, `cuda`, `cuda:1` for the second card, `mps` or `cpu`."
    )
    devices: Annotated[str, AfterValidator(check_devices)] = Field(
        "",
        description="Several devices with a worker on each: `auto` (every card), `cuda:0,cuda:1`, `cpu*2` for trials. "
        "Empty: only the one of ATELIER_DEVICE.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="Precision of the model.")
    cpu_backend: Literal["torch", "openvino"] = Field("torch", description="What runs forwards on a processor.")
    cuda_graphs: bool = Field(False, description="Run forwards on an NVIDIA card as CUDA graphs; not measured yet.")
    memory: Literal["auto", "full", "sliced", "offload", "layers"] = Field(
        "auto", description="How models are kept in memory; auto decides from what is free at the start."
    )
    idle_release_s: float = Field(
        0.0, ge=0, le=_YEAR_S, allow_inf_nan=False, description="Seconds idle until models leave the memory; 0: never."
    )
    max_rows: int = Field(
        0, ge=0, le=64, description="Largest forward pass in rows; a guided image takes two. 0 lets the device decide."
    )
    num_threads: int = Field(0, ge=0, le=256, description="CPU threads of the worker; 0 uses every core.")
    safety_checker: bool = Field(
        True,
        description="Check every picture, with the two safety checkers of all models and a model's own. False: models "
        "paint in age-restricted channels only.",
    )
    open_nsfw_threshold: float = _threshold(THRESHOLDS.open_nsfw, "open_nsfw calls it pornographic")
    hentai_threshold: float = _threshold(THRESHOLDS.hentai, "nsfwjs calls it a sexual drawing")
    porn_threshold: float = _threshold(THRESHOLDS.porn, "nsfwjs calls it a sexual photograph")
    sexy_threshold: float = _threshold(THRESHOLDS.sexy, "nsfwjs calls it suggestive")
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
    presence: bool = Field(
        True, description="Say in the bot's status how many pictures wait. It names no server and no member."
    )
    allow_user_installs: bool = Field(
        False,
        description="Let people add the bot to their own account and paint anywhere; only they see its answers there.",
    )
    guild_grace_days: int = Field(
        30, ge=1, le=3650, description="Days after which what is kept of a server that removed the bot is deleted."
    )
    max_waiting_per_user: int = Field(32, ge=1, description="Pictures one member may have waiting.")
    max_waiting_per_guild: int = Field(1000, ge=1, description="Pictures one server may have waiting.")
    shutdown_grace_s: float = Field(
        20.0, ge=0, le=_YEAR_S, description="Seconds that running pictures get to end at shutdown."
    )
    fleet: Annotated[str | None, AfterValidator(read_address)] = Field(
        None, description="The head of a fleet of workers on other machines, host:port, as `fleet head` says it."
    )
    fleet_token: SecretStr | None = Field(None, description="The token of the fleet: the file that `fleet head` made.")
    fleet_wait_s: float = Field(
        5.0, ge=1, le=300, allow_inf_nan=False, description="Seconds until a silent member of the fleet counts as lost."
    )

    failpoints: str = Field("", description="For crash tests: where the process shall kill itself. Leave it empty.")

    @field_validator("discord_url")
    @classmethod
    def _only_loopback(cls, url: str | None) -> str | None:
        if url is not None and not is_loopback_url(url):
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

    @field_validator("*", mode="before")
    @classmethod
    def _in_any_case(cls, value: object, info: ValidationInfo) -> object:
        """Take words in any case where the choice is of a few words."""
        kind = cls.model_fields[info.field_name or ""].annotation
        words = get_args(kind) if get_origin(kind) is Literal else ()
        return next((each for each in words if each.casefold() == str(value).casefold()), value)

    @field_validator("c2pa_certificates", "c2pa_key", mode="before")
    @classmethod
    def _with_line_breaks(cls, pem: object) -> object:
        """PEM text on one line, as `docker --env-file` wants it, says `\\n` where a line ends."""
        return pem.replace("\\n", "\n") if isinstance(pem, str) else pem

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not re.fullmatch(DEVICE, device.strip().lower()):
            raise ValueError("it should be auto, cuda, cuda:1 (a card by its number), mps or cpu")
        return device.strip().lower()

    @field_validator("data_dir")
    @classmethod
    def _fits_an_address(cls, folder: Path) -> Path:
        if "?" in str(folder):
            raise ValueError("the address of a database cannot hold a question mark")
        return folder

    @field_validator("owner_ids")
    @classmethod
    def _only_ids(cls, ids: str) -> str:
        given = [each.strip() for each in ids.split(",") if each.strip()]
        if not all(each.isdecimal() and len(each) < 20 and 0 < int(each) <= _MAX_ID for each in given):
            raise ValueError("must be ids with commas between them, such as 123,456")
        return ids

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may hold: the token, the lines of the private key, the password of the database."""
        kept = (self.discord_token, self.civitai_token, self.fleet_token, self.cloud_token, self.c2pa_key)
        *tokens, key = (value.get_secret_value().strip() if value else "" for value in kept)
        lines = (line for line in key.splitlines() if not line.startswith("-----"))
        addresses = (self.database_url, self.trace_endpoint)
        return tuple(filter(None, (*tokens, *lines, *(urlsplit(each or "").password for each in addresses))))

    @property
    def owners(self) -> frozenset[int]:
        return frozenset(int(each) for each in self.owner_ids.split(",") if each.strip())

    @property
    def url_of_database(self) -> str:
        return self.database_url or f"sqlite:///{self.default_file.as_posix()}"

    @property
    def default_file(self) -> Path:
        """Where the database is unless `database_url` says otherwise."""
        return self.data_dir / _DATABASE

    @property
    def worker_devices(self) -> tuple[str, ...]:
        """The device of each worker, as far as that is known without looking for cards."""
        return read_devices(self.devices) if self.devices else (self.device,)

    @property
    def engine(self) -> EngineSettings:
        return EngineSettings(
            device=next(iter(self.worker_devices), "auto"),
            dtype=self.dtype,
            memory=self.memory,
            idle_s=self.idle_release_s,
            cpu_backend=self.cpu_backend,
            cuda_graphs=self.cuda_graphs,
            compiled=str(self.data_dir / "compiled"),
            measured=str(self.data_dir / "measured.json"),
            failed_loads=str(self.data_dir / "failed-models.json"),
            num_threads=self.num_threads,
            max_rows=self.max_rows,
            checks_safety=self.safety_checker,
            preview_ahead_s=1.5,
            thresholds=CheckerThresholds(
                open_nsfw=self.open_nsfw_threshold,
                hentai=self.hentai_threshold,
                porn=self.porn_threshold,
                sexy=self.sexy_threshold,
            ),
        )

    @property
    def folder_of_models(self) -> Path:
        return self.models_dir or self.data_dir / "models"

    @property
    def pictures_dir(self) -> Path:
        return self.data_dir / "pictures"


def load(home: Path | None = None, **overrides: str | None) -> Settings:
    """Read the environment and `.env` of the home folder (see `find_home`); `overrides` are of the command line.

    Raises `ConfigurationError` naming the variable at fault and what it may be.
    """
    folder = find_home(home)
    refuse_left_behind(folder, ENV_FILE, said=home)
    written = read_written(folder, Settings.model_fields)
    if "data_dir" not in written:
        refuse_left_behind(folder, f"{_DEFAULT_DATA}/{_DATABASE}", said=home)
    written |= {name: Written(f"--{name}", text, Path()) for name, text in overrides.items() if text is not None}
    written.setdefault("data_dir", Written(f"{PREFIX}DATA_DIR", _DEFAULT_DATA, folder))
    return _build({name: _value(name, each) for name, each in written.items()})


def change(settings: Settings, **chosen: str) -> Settings:
    """Return the settings with other values. Raise `ConfigurationError` as `load` does."""
    return _build(dict(settings) | chosen)


def _build(values: Mapping[str, Any]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as bad:
        raise _told(bad.errors()[0]) from None


def _value(name: str, written: Written) -> Any:
    """Paths become absolute: what is not written in full begins at the home folder, or where the shell stands."""
    text = written.read()
    if name in _PATHS or (name == "model" and re.search(r"^~|[/\\]", text)):
        path = written.resolve(text)
        return path if name in _PATHS else str(path)
    if name == "database_url" and (parts := _SQLITE_FILE.fullmatch(text)):
        return f"{parts[1]}{written.resolve(parts[2]).as_posix()}{parts[3]}"
    return text


def _told(error: ErrorDetails) -> ConfigurationError:
    name = PREFIX + "_".join(str(part) for part in error["loc"]).upper()
    said = _MEANT.get(error["type"], error["msg"].removeprefix("Value error, ").replace("Input should", "it should"))
    return ConfigurationError(problem=f"{name} cannot be used: {said}.", remedy="Change it, or leave it out.")
