"""Checks files and folders that an operator names; a problem is the end of a sentence that begins with the name."""

from __future__ import annotations

import codecs
import errno
import os
import stat
import tempfile
import unicodedata
from pathlib import Path

_BYTE_ORDER_MARKS = {  # UTF-32 first: the mark of UTF-16 is how its own begins
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NOT_ALLOWED = ("may not be used by this user", "Change its owner or its permissions, or choose another.")
_REASONS = {
    errno.ENOENT: ("is not there", "Check its name."),
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: ("is on a disk that is read-only", "Choose another place."),
    errno.ENOSPC: ("does not fit on the disk", "Make room."),
    errno.EEXIST: ("exists already", "Choose another name, or move it away."),
    errno.EISDIR: ("is a folder", "Name a file."),
    errno.ENOTDIR: ("lies below something that is not a folder", "Check its name."),
    errno.ELOOP: ("is a link that leads in a circle", "Name the file itself."),
    errno.ENAMETOOLONG: ("has too long a name", "Choose a shorter one."),
}


class FileUnusableError(Exception):
    """A file or folder that a person named and that cannot be used: what is wrong with it, and what to do."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy

    @classmethod
    def of(cls, error: OSError) -> FileUnusableError:
        """Return the words for an error of the operating system."""
        number = error.errno or 0
        fallback = (f"cannot be used ({error.strerror or error})", "Check the disk.")
        return cls(*_REASONS.get(number, fallback))


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a regular file. Raise `FileUnusableError` for what is none, or too large.

    Pipes and devices are refused: reading one may wait, or go on, for ever.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "is a folder" if stat.S_ISDIR(mode) else "is a pipe or a device"
            raise FileUnusableError(kind, "Name a file.")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise FileUnusableError.of(error) from None
    except ValueError:  # NUL or a lone surrogate in the name
        raise FileUnusableError("is not a name that a file can have", "Check its name.") from None
    if len(data) > max_bytes:
        raise FileUnusableError(f"is larger than {max_bytes // 2**20} MiB", "Name another file.")
    return data


def decode_text(data: bytes) -> str:
    """Return text of any editor: UTF-8, or the encoding of its byte order mark. Line ends become newlines.

    Raise `FileUnusableError` for other encodings: guessing one would change what is written.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as wrong:
        line = data.count(b"\n", 0, wrong.start) + 1
        raise FileUnusableError(f"is not UTF-8 text (see line {line})", "Save it as UTF-8.") from None
    if "\0" in text:
        raise FileUnusableError("is not UTF-8 text (it holds NUL bytes)", "Save it as UTF-8.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def resolve_path(text: str, base: Path) -> Path:
    """Return the absolute path a person wrote: `~` is the user's folder, and a relative path begins at `base`.

    Raise `FileUnusableError` if there is no such folder to begin at, or the text cannot be a path.
    """
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in text):  # control characters, lone surrogates
        raise FileUnusableError("holds characters that no path should have", "Check its name.")
    try:
        return (base / Path(text).expanduser()).absolute()
    except RuntimeError:
        raise FileUnusableError("begins with ~, and this user has no such folder", "Write the whole path.") from None
    except OSError:
        problem = "begins at the folder the shell stands in, which is gone"
        raise FileUnusableError(problem, "Write the whole path.") from None


def require_writable(target: Path) -> None:
    """Raise `FileUnusableError` unless a file can be written at `target`: ask before the work, not after it."""
    try:
        if target.is_dir():
            raise FileUnusableError("is a folder", f"Name a file in it, such as {target / 'picture.png'}.")
        if not target.parent.is_dir():
            raise FileUnusableError("lies in a folder that is not there", "Make the folder first.")
        if not target.exists():
            with tempfile.TemporaryFile(dir=target.parent):
                return
        if not os.access(target, os.W_OK):
            raise FileUnusableError(*_NOT_ALLOWED)
    except OSError as error:
        raise FileUnusableError.of(error) from None
