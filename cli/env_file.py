"""Where settings are written down: the home folder, `.env` in it, the environment, and files that hold one secret.

The home folder does not depend on the current folder (`find_home`). A relative path in `.env` begins at the home
folder; one in the environment, at the current folder.
"""

from __future__ import annotations

import difflib
import io
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables

from generation.errors import ConfigurationError
from generation.local_files import FileUnusableError, decode_text, read_file, resolve_path
from generation.program import IS_INSTALLED

PREFIX = "ATELIER_"
ENV_FILE = ".env"
_ROOT = Path(__file__).resolve().parents[1]
_HOME = f"{PREFIX}HOME"
_FROM_FILE = "_FILE"
_MAX_BYTES = 2**20
_INVISIBLE = "\ufeff\u200b\u200e\u200f\u2060"
_SERVICE_LINK = re.compile(r"ATELIER_(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
"""What Kubernetes puts into the environment of every container beside a Service called `atelier`."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a person wrote for one setting, and where a relative path in it begins."""

    variable: str
    text: str
    base: Path

    def read(self) -> str:
        """Return the value, from the file it names if it names one. Raise `ConfigurationError` if that cannot be
        read."""
        if not self.variable.endswith(_FROM_FILE):
            return self.text
        path = self.resolve(self.text)
        try:
            value = _tidy(decode_text(read_file(path, max_bytes=_MAX_BYTES)))
            if not value:
                raise FileUnusableError("is empty", "Put the value into it.")
        except FileUnusableError as wrong:
            problem = f"{self.variable} names {path}, which {wrong.problem}."
            raise ConfigurationError(problem=problem, remedy=wrong.remedy) from None
        return value

    def resolve(self, path: str) -> Path:
        """Return `path` as an absolute one. Raise `ConfigurationError` if it cannot be a path."""
        try:
            return resolve_path(path, self.base)
        except FileUnusableError as wrong:
            problem = f"{self.variable} cannot be used: the path {wrong.problem}."
            raise ConfigurationError(problem=problem, remedy=wrong.remedy) from None


def find_home(said: Path | None = None) -> Path:
    """Return the folder of `.env` and, by default, of the data.

    It is `said` (--home), else ATELIER_HOME, else the source tree that the program runs from, else the platform's
    folder for the data of a program. Raise `ConfigurationError` if the first two name no folder.
    """
    chosen = _chosen_home(said)
    if not chosen:
        return _platform_home() if IS_INSTALLED else _ROOT
    home = Written("--home" if said else _HOME, chosen, Path()).resolve(chosen)
    if not home.is_dir():
        raise ConfigurationError(problem=f"The home folder {home} is not there.", remedy="Make it, or name another.")
    return home


def _platform_home() -> Path:
    from platformdirs import user_data_path

    return user_data_path("atelier", appauthor=False)


def _chosen_home(said: Path | None) -> str:
    return str(said) if said else _tidy(os.environ.get(_HOME, ""))


def refuse_left_behind(home: Path, name: str, *, said: Path | None) -> None:
    """Raise `ConfigurationError` if a file of Atelier's lies where the shell stands and not in a home that no one
    chose.

    Earlier versions looked there: a start without it would be a start with nothing.
    """
    if _chosen_home(said) or (home / name).exists() or not os.path.isfile(name):  # noqa: PTH113 - never raises
        return
    here = Path(name).absolute()
    if name != ENV_FILE or PREFIX.encode() in here.read_bytes().replace(b"\0", b""):  # in any encoding
        problem = f"{here} is not read: Atelier looks in {home}."
        raise ConfigurationError(problem=problem, remedy=f"Use --home {Path().absolute()}, or move it.")


def read_written(home: Path, settings: Collection[str]) -> dict[str, Written]:
    """Return what is written for each of `settings` (their names in lower case); the environment wins over `.env`.

    Raise `ConfigurationError` for `.env` that cannot be read, a name that is not a setting, a setting written twice.
    """
    known = {f"{PREFIX}{name.upper()}" for name in settings}
    file = home / ENV_FILE
    of_file = list(_read_env_file(file))
    for variable, _ in of_file:
        _refuse_unknown(variable, known, is_in_file=True)
    of_shell = [(name, text) for name, text in os.environ.items() if _is_ours(name, os.environ)]
    for variable, _ in of_shell:
        _refuse_unknown(variable, known, is_in_file=False)
    return _by_setting(of_file, known, home, str(file)) | _by_setting(of_shell, known, Path(), "the environment")


def _by_setting(pairs: Iterable[tuple[str, str]], known: set[str], base: Path, where: str) -> dict[str, Written]:
    """Names of settings in lower case. What is empty counts as absent."""
    found: dict[str, Written] = {}
    for name, text in pairs:
        variable, value = name.upper(), _tidy(text)
        if not value or not variable.startswith(PREFIX):
            continue
        if any("\ud800" <= each <= "\udfff" for each in value):
            problem = f"{variable} in {where} is not text in the encoding of this system."
            raise ConfigurationError(problem=problem, remedy="Write it again.")
        setting = (variable if variable in known else variable.removesuffix(_FROM_FILE)).removeprefix(PREFIX).lower()
        other = found.get(setting)
        if other is not None and (other.variable, other.text) != (variable, value):
            problem = f"{PREFIX}{setting.upper()} has two values in {where}."
            raise ConfigurationError(problem=problem, remedy=f"Keep one; one with {_FROM_FILE} counts too.")
        found[setting] = Written(variable, value, base)
    return found


def _tidy(text: str) -> str:
    """Return it without invisible characters at its ends, and without the quotation marks that
    `docker --env-file` keeps."""
    text = text.strip().strip(_INVISIBLE).strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].strip()
    return text


def _is_ours(name: str, environment: Mapping[str, str]) -> bool:
    upper = name.upper()
    is_link = f"{PREFIX}SERVICE_HOST" in environment and _SERVICE_LINK.fullmatch(upper)
    return upper.startswith(PREFIX) and upper != _HOME and not is_link


def _refuse_unknown(name: str, known: set[str], *, is_in_file: bool) -> None:
    """Names of other programs may stand in `.env`, but not what looks like a mistyped name of ours."""
    variable = name.upper()
    if variable in known or variable.removesuffix(_FROM_FILE) in known:
        return
    if is_in_file and variable == _HOME:
        problem = f"{_HOME} in {ENV_FILE} comes too late: it says where {ENV_FILE} is."
        raise ConfigurationError(problem=problem, remedy="Set it in the environment, or use --home.")
    meant = difflib.get_close_matches(variable, known, n=1, cutoff=0.6 if PREFIX[:-1] in variable else 0.85)
    if meant or PREFIX[:-1] in variable:
        remedy = f"Did you mean {meant[0]}?" if meant else "docs/settings.md names all there are."
        raise ConfigurationError(problem=f"{variable} is not a setting.", remedy=remedy)


def _read_env_file(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each name and its value. Raise `ConfigurationError` naming the line that cannot be read, but not its
    content.

    A backslash is a backslash, also between double quotes: the parser takes it for the beginning of an escape, so that
    `"C:\\models\\new"` would hold a line break. It is hidden from the parser as NUL, which no text of ours holds.
    """
    if not os.path.lexists(path):
        return
    try:
        text = decode_text(read_file(path, max_bytes=_MAX_BYTES))
    except FileUnusableError as wrong:
        raise ConfigurationError(problem=f"{path} {wrong.problem}.", remedy=wrong.remedy) from None
    values: dict[str, str | None] = dict(os.environ)
    for binding in parse_env(text):
        if binding.error or (binding.value is None and _looks_ours(binding.key)):
            problem = f"Line {_line(binding)} of {path} cannot be read."
            raise ConfigurationError(problem=problem, remedy="Write NAME=value, and close every quotation mark.")
        if binding.key and binding.value:  # what is empty counts as absent
            value = "".join(part.resolve(values) for part in parse_variables(binding.value)).replace("\0", "\\")
            values[binding.key] = value
            yield binding.key, value


def parse_env(text: str) -> list[Binding]:
    """Return the lines of `.env`, where NUL stands for a backslash."""
    return list(parse_stream(io.StringIO(text.replace("\\", "\0"))))


def _looks_ours(key: str | None) -> bool:
    return key is not None and PREFIX[:-1] in key.upper()


def _line(binding: Binding) -> int:
    """Return the number of the line: the parser counts from the blank lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
