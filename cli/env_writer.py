"""Changes settings in `.env`: in one step, with all else as it was, readable by its owner alone."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cli.env_file import ENV_FILE, PREFIX, parse_env
from generation.errors import ConfigurationError
from generation.local_files import FileUnusableError, decode_text, read_file

_MAX_BYTES = 2**20
_NEW = "# What Atelier is told. docs/settings.md names every setting.\n"
_BARE = re.compile(r"[\w./:,@%+~-]+", re.ASCII)


def write_settings(home: Path, chosen: Mapping[str, str]) -> bool:
    """Set each of `chosen` (names as of `Settings`) in `.env` of the home folder. Return whether anything changed.

    The file is replaced in one step, or not at all. Raise `ConfigurationError` for what cannot be written there, or
    what the environment says otherwise.
    """
    file = (home / ENV_FILE).resolve()  # a link stays one
    old = _read(file)
    text = old if old is not None else _NEW
    line_end = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    for name, value in chosen.items():
        text = _with_setting(text, f"{PREFIX}{name.upper()}", value)
    _require_readable_again(text, file, chosen)
    text = text.replace("\n", line_end)
    if text == old or not chosen:
        return False
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(file, text)
    except OSError as error:
        reason = FileUnusableError.of(error)
        raise ConfigurationError(problem=f"{file} {reason.problem}.", remedy=reason.remedy) from None
    return True


def _read(file: Path) -> str | None:
    """Return the text with its line ends, None if there is no file."""
    if not os.path.lexists(file):
        return None
    try:
        data = read_file(file, max_bytes=_MAX_BYTES)
        text = decode_text(data)
    except FileUnusableError as wrong:
        raise ConfigurationError(problem=f"{file} {wrong.problem}.", remedy=wrong.remedy) from None
    return text.replace("\n", "\r\n") if b"\r\n" in data or b"\r\0\n" in data else text


def _with_setting(text: str, variable: str, value: str) -> str:
    """Return the text with the value in its line, else behind the line that has it as a comment, else at the end."""
    written = _quote(variable, value)
    parts = parse_env(text)
    of_file = next((each for each in parts if each.key and each.key.upper() == f"{variable}_FILE" and each.value), None)
    if of_file is not None:
        problem = f"{variable}_FILE in {ENV_FILE} names a file that holds this value."
        raise ConfigurationError(problem=problem, remedy="Change it in that file, or remove the line.")
    mine = [each for each in parts if each.key and each.key.upper() == variable]
    if mine:
        found = "".join(
            _with_value(each.original.string, written) if each in mine else each.original.string for each in parts
        )
        return found.replace("\0", "\\")
    line = f"{variable}={written}\n"
    comment = re.search(rf"^[ \t]*#[ \t]*{variable}=.*(?:\n|\Z)", text, re.MULTILINE)
    place = comment.end() if comment else len(text)
    before = text[:place]
    return before + ("" if not before or before.endswith("\n") else "\n") + line + text[place:]


_LINE = re.compile(
    r"""(?P<name>\s*(?:export[^\S\n]+)?(?:'[^'\n]*'|[^=\#\s]+)[^\S\n]*)
        (?:=[^\S\n]*(?P<value>'[^']*'|"[^"]*"|[^\n]*?))?
        (?P<rest>(?:[^\S\n]+\#[^\n]*)?[^\S\n]*(?:\n|\Z))""",
    re.VERBOSE,
)


def _with_value(line: str, written: str) -> str:
    """Return a line, with the blank ones before it, with another value: what is around the value stays."""
    found = _LINE.fullmatch(line)
    return f"{found['name']}={written}{found['rest']}" if found else line


def _quote(variable: str, value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    mark = next((mark for mark in "\"'" if mark not in value), "")
    if not mark or "\n" in value or "${" in value:
        remedy = f"Choose another, or set {variable} in the environment."
        raise ConfigurationError(problem=f"{variable} cannot be written into {ENV_FILE}.", remedy=remedy)
    return f"{mark}{value}{mark}"


def _require_readable_again(text: str, file: Path, chosen: Mapping[str, str]) -> None:
    """Raise `ConfigurationError` unless each value reads as it was meant, of the file and of the environment."""
    read = {part.key.upper(): part.value.replace("\0", "\\") for part in parse_env(text) if part.key and part.value}
    for name, value in chosen.items():
        variable = f"{PREFIX}{name.upper()}"
        if read.get(variable, "") != value:
            problem = f"The line of {variable} in {file} cannot be changed."
            raise ConfigurationError(problem=problem, remedy=f"Write it yourself: {variable}=...")
        for said in (variable, f"{variable}_FILE"):
            if os.environ.get(said, "").strip() and os.environ[said].strip() != value:
                problem = f"{said} is set in the environment, which wins over {ENV_FILE}."
                raise ConfigurationError(problem=problem, remedy="Change it there, or unset it.")


def _replace(file: Path, text: str) -> None:
    """Write beside the file, then rename. `mkstemp` makes a file that its owner alone may read."""
    handle, name = tempfile.mkstemp(prefix=f"{ENV_FILE}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        if file.exists():
            with suppress(OSError, AttributeError):  # root changes the file of another user, who has to read it
                os.chown(name, file.stat().st_uid, file.stat().st_gid)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
