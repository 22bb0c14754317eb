"""Rules as a file: JSON to keep and move them, or a plain list of words, one a line."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from generation.errors import FileTooLargeError, InvalidRequestError, NotUtf8Error
from generation.rules.errors import NoRuleInFileError, RuleInFileError, RuleInLineError, RulesFileError
from generation.rules.rule import Action, Kind, Rule
from generation.rules.rulebook import require_number

MAX_FILE_BYTES = 4 * 1024 * 1024
VERSION = 1


class StoredRule(msgspec.Struct, frozen=True):
    """A rule as it was written down after it had been checked, here or in the database."""

    text: str
    kind: Kind = Kind.WORD
    action: Action = Action.BLOCK
    reason: str = ""
    channel_ids: tuple[int, ...] = ()
    role_ids: tuple[int, ...] = ()

    def as_rule(self, number: int = 0) -> Rule:
        return Rule.unchecked(**msgspec.structs.asdict(self), id=number)


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in a file of rules."""

    rules: list[StoredRule]
    version: int = VERSION


def export_rules(rules: Iterable[Rule]) -> bytes:
    """Return the rules as a readable file."""
    packed = msgspec.json.encode({"rules": [rule.with_id(0) for rule in rules], "version": VERSION})
    return msgspec.json.format(packed, indent=1)


def read_exported(data: bytes) -> list[Rule]:
    """Return what `export_rules` wrote, without checking it again: for files of our own making only."""
    return [rule.as_rule() for rule in msgspec.json.decode(data, type=RuleFile).rules]


def import_rules(data: bytes) -> list[Rule]:
    """Return the rules of a file, each once. Raise `InvalidRequestError` that says what is wrong, and where."""
    if len(data) > MAX_FILE_BYTES:
        raise FileTooLargeError(most=MAX_FILE_BYTES // 2**20)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise NotUtf8Error(byte=wrong.start) from None
    written = _read_json(text) if text.lstrip().startswith("{") else _read_lines(text)
    if not written:
        raise NoRuleInFileError
    require_number(written)  # before each is looked at: a pattern takes a while
    return [_checked(rule, where) for rule, where in written.items()]


def _checked(rule: StoredRule, where: int | None) -> Rule:
    """Return a checked rule. Raise `InvalidRequestError` naming the line that it stands in."""
    try:
        return Rule(**msgspec.structs.asdict(rule))
    except InvalidRequestError as wrong:
        if where is None:
            raise RuleInFileError(reason=wrong.phrase) from None
        raise RuleInLineError(number=where, reason=wrong.phrase) from None


def _read_json(text: str) -> dict[StoredRule, int | None]:
    try:
        return dict.fromkeys(msgspec.json.decode(text, type=RuleFile).rules)
    except (msgspec.DecodeError, UnicodeEncodeError) as wrong:
        raise RulesFileError(reason=str(wrong)[:150]) from None


def _read_lines(text: str) -> dict[StoredRule, int | None]:
    """Read one rule a line, each with the line's number; `/like this/` is a pattern, `# like this` a remark."""
    rules: dict[StoredRule, int | None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        is_pattern = len(line) > 2 and line.startswith("/") and line.endswith("/")
        rule = StoredRule(kind=Kind.PATTERN, text=line[1:-1]) if is_pattern else StoredRule(text=line)
        rules.setdefault(rule, number)
    return rules
