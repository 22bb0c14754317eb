"""Rules as a file: JSON for keeping and moving them, or a plain list of words, one a line, as people have them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from generation.errors import InvalidRequest
from generation.phrase import Phrase
from generation.rules.rule import Kind, Rule
from generation.rules.rulebook import require_number

MAX_FILE_BYTES = 4 * 1024 * 1024
VERSION = 1


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in the file."""

    rules: list[Rule]
    version: int = VERSION


def export_rules(rules: Iterable[Rule]) -> bytes:
    """The file, to be read by people too."""
    packed = msgspec.json.encode(RuleFile([replace(rule, id=0) for rule in rules]))
    return msgspec.json.format(packed, indent=1)


def import_rules(data: bytes) -> list[Rule]:
    """The rules of a file, each once. Raises `InvalidRequest` that says what is wrong, and where."""
    if len(data) > MAX_FILE_BYTES:
        problem = Phrase("is over {most} MiB.", most=MAX_FILE_BYTES // 2**20)
        raise InvalidRequest(what=Phrase("The file"), problem=problem)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        problem = Phrase("is not UTF-8 text (byte {start}). Save it as UTF-8 and try again.", start=wrong.start)
        raise InvalidRequest(what=Phrase("The file"), problem=problem) from None
    rules = _read_json(text) if text.lstrip().startswith("{") else _read_lines(text)
    if not rules:
        raise InvalidRequest(what=Phrase("The file"), problem=Phrase("holds no rule."))
    unique = list(dict.fromkeys(rules))
    require_number(unique)
    return unique


def _read_json(text: str) -> list[Rule]:
    try:
        return [replace(rule, id=0) for rule in msgspec.json.decode(text, type=RuleFile).rules]
    except InvalidRequest as wrong:
        problem = Phrase("has a rule that cannot be used: {wrong}", wrong=wrong)
        raise InvalidRequest(what=Phrase("The file"), problem=problem) from None
    except (msgspec.DecodeError, UnicodeEncodeError) as wrong:
        problem = Phrase("cannot be read as rules: {wrong}.", wrong=str(wrong)[:150])
        raise InvalidRequest(what=Phrase("The file"), problem=problem) from None


def _read_lines(text: str) -> list[Rule]:
    """One rule a line; `/like this/` is a pattern, `# like this` a remark."""
    rules: list[Rule] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        is_pattern = len(line) > 2 and line.startswith("/") and line.endswith("/")
        try:
            rules.append(Rule(kind=Kind.PATTERN, text=line[1:-1]) if is_pattern else Rule(text=line))
        except InvalidRequest as wrong:
            problem = Phrase("cannot be used: {wrong}", wrong=wrong)
            raise InvalidRequest(what=Phrase("Line {number}", number=number), problem=problem) from None
    return rules
