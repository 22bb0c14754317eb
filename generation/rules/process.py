"""The process that screens: `python -m generation.rules.process`. Reads requests on stdin, writes answers on stdout.

Rules are untrusted input, and RE2 cannot be interrupted. So before each request the process sets a limit of
processor time for itself, and the kernel ends it when that is over: however busy the machine is, the same work counts
the same. `generation.rules.screening` starts another. It holds no secrets, and ends when its stdin does.
"""

from __future__ import annotations

import contextlib
import signal
import struct
import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import IO, Any

import msgspec

from generation.errors import InvalidRequestError
from generation.rules.rule import Kind, Rule
from generation.rules.rulebook import Match, Rulebook, look_back
from generation.rules.transfer import export_rules, import_rules

MAX_WEIGHT = 500_000
"""Of all rulebooks kept, see `Rulebook.weight`: some 200 MB at the worst."""
_WEIGHT_OF_ANY = 3000
_MEMORY_BYTES = 2 << 30
_HEADER = struct.Struct(">I")


class Build(msgspec.Struct, frozen=True, tag=True):
    """Compile rules (kind and text of each) and keep them under `key`. Answered by `Done` or `NotUsable`."""

    key: str
    rules: list[tuple[str, str]]


class Screen(msgspec.Struct, frozen=True, tag=True):
    """Which rules of those under `key` match. Answered by `Matched`, or `NotBuilt` if they are not kept."""

    key: str
    texts: list[str]


class LookBack(msgspec.Struct, frozen=True, tag=True):
    """Which prompts one rule matches. Answered by `Matched`, the indexes being those of the prompts."""

    rule: tuple[str, str]
    prompts: list[list[str]]


class ReadFile(msgspec.Struct, frozen=True, tag=True):
    """Read a file of rules. Answered by `FileRead` or `NotUsable`."""

    data: bytes


class Done(msgspec.Struct, frozen=True, tag=True):
    pass


class NotBuilt(msgspec.Struct, frozen=True, tag=True):
    pass


class NotUsable(msgspec.Struct, frozen=True, tag=True):
    """An `InvalidRequestError`, packed."""

    error: list[Any]


class Matched(msgspec.Struct, frozen=True, tag=True):
    matches: list[Match]


class FileRead(msgspec.Struct, frozen=True, tag=True):
    """The rules of a file, checked, as `export_rules` writes them."""

    data: bytes


Request = Build | Screen | LookBack | ReadFile
Answer = Done | NotBuilt | NotUsable | Matched | FileRead


class Limited(msgspec.Struct, frozen=True):
    """A request, and the seconds of processor time it may take."""

    request: Request
    cpu_s: float


class Books:
    """The rulebooks kept, those used last at the end."""

    def __init__(self) -> None:
        self._books: OrderedDict[str, Rulebook] = OrderedDict()

    def answer(self, request: Request) -> Answer:
        try:
            return self._answer(request)
        except InvalidRequestError as error:
            return NotUsable(error.packed())

    def _answer(self, request: Request) -> Answer:
        match request:
            case Build(key, rules):
                self._keep(key, Rulebook(map(_parse_rule, rules)))
                return Done()
            case Screen(key, texts):
                if (book := self._books.get(key)) is None:
                    return NotBuilt()
                self._books.move_to_end(key)
                return Matched(book.matches(texts))
            case LookBack(rule, prompts):
                found = look_back(_parse_rule(rule), [tuple(texts) for texts in prompts])
                return Matched([Match(*each) for each in found])
            case ReadFile(data):
                return FileRead(export_rules(import_rules(data)))

    def _keep(self, key: str, book: Rulebook) -> None:
        self._books[key] = book
        while len(self._books) > 1 and sum(map(_estimate_weight, self._books.values())) > MAX_WEIGHT:
            self._books.popitem(last=False)


def _estimate_weight(book: Rulebook) -> int:
    return _WEIGHT_OF_ANY + book.weight


def _parse_rule(packed: Sequence[str]) -> Rule:
    return Rule.unchecked(kind=Kind(packed[0]), text=packed[1])


def write_frame(stream: IO[bytes], value: object) -> None:
    body = msgspec.msgpack.encode(value)
    stream.write(_HEADER.pack(len(body)) + body)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes:
    """Return the next frame. Raise `EOFError` at the end, clean or torn."""
    header = stream.read(_HEADER.size)
    size = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else -1
    body = stream.read(max(0, size))
    if len(body) != size:
        raise EOFError
    return body


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the bot
    if hasattr(signal, "SIGPROF"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # an ignored signal would be inherited
    _limit_memory()
    books = Books()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            asked = msgspec.msgpack.decode(read_frame(sys.stdin.buffer), type=Limited)
            _limit_time(asked.cpu_s)
            answer = books.answer(asked.request)
            _limit_time(0)
            write_frame(sys.stdout.buffer, answer)


def _limit_time(cpu_s: float) -> None:
    """End the process when it has used that much more processor time; 0: never."""
    if hasattr(signal, "setitimer"):  # elsewhere the clock of the bot ends it
        signal.setitimer(signal.ITIMER_PROF, cpu_s)


def _limit_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    for what, most in ((resource.RLIMIT_AS, _MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a tighter limit of the operator's stays; macOS knows no AS
            resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    main()
