"""Say who may write what, before anything is written: the data folder, the database, and SQLite's files beside it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from generation.errors import ConfigurationError

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite may keep beside a database."""
_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "davfs",
    "fuse.sshfs",
    "fuse.rclone",
}
_OF_DATA = (".", "atelier.lock", "measured.json", "failed-models.json", "pictures", "pictures/*", "forms")


def require_database_file(file: Path) -> None:
    """Raise `ConfigurationError` unless `file` can be opened for writing as a SQLite database, or created."""
    try:
        kind = file.stat().st_mode
    except FileNotFoundError:
        require_creatable(file.parent)
        return
    except OSError as error:
        raise _unreachable(file, error) from None
    if not stat.S_ISREG(kind):
        problem = f"{file} is {'a folder' if stat.S_ISDIR(kind) else 'no regular file'}, not a database."
        raise ConfigurationError(problem=problem, remedy="Set ATELIER_DATABASE_URL to a file.")
    beside = (file.with_name(f"{file.name}{ending}") for ending in BESIDE)
    for path in (file.parent, file, *filter(Path.exists, beside)):
        _require_writable(path)


def require_data_folder(folder: Path) -> None:
    """Raise `ConfigurationError` unless all that Atelier writes in its data folder can be written, or the folder
    created."""
    if not folder.exists():
        require_creatable(folder)
        return
    if not folder.is_dir():
        raise ConfigurationError(problem=f"{folder} is not a folder.", remedy="Set ATELIER_DATA_DIR to a folder.")
    _require_writable(folder)
    for path in _written_in(folder):
        _require_writable(path)


def require_creatable(folder: Path) -> None:
    """Raise `ConfigurationError` unless the nearest of `folder` and those above it that exists is a folder to write
    in."""
    try:
        above = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    except OSError as error:
        raise _unreachable(folder, error) from None
    if not above.is_dir():
        raise ConfigurationError(
            problem=f"{above} is not a folder.", remedy="Choose another place in ATELIER_DATA_DIR."
        )
    _require_writable(above)


def foreign_owner(folder: Path) -> str | None:
    """Return the name of the user who owns an existing folder, None if it is ours or the system has no owners."""
    if sys.platform == "win32" or not folder.exists() or folder.stat().st_uid == os.geteuid():
        return None
    return _user(folder.stat().st_uid)


def network_file_system(folder: Path) -> str | None:
    """Return the kind of network file system that holds `folder`; None if it is local, or that is not known."""
    with suppress(OSError, ValueError):
        found: tuple[int, str] = (-1, "")
        for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
            before, after = line.split(" - ")
            mount = before.split()[4].encode().decode("unicode_escape")  # a blank is written as \040
            if folder.resolve().is_relative_to(mount):
                found = max(found, (len(mount), after.split()[0]), key=lambda each: each[0])
        return found[1] if found[1] in _NETWORK else None
    return None


def _written_in(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        for pattern in _OF_DATA[1:]:
            yield from folder.glob(pattern)


def _require_writable(path: Path) -> None:
    is_folder = path.is_dir()
    mode = os.R_OK | os.W_OK | (os.X_OK if is_folder else 0)
    if os.access(path, mode, effective_ids=os.access in os.supports_effective_ids):
        return
    if hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY:
        problem = f"{path} lies on a file system that is mounted read-only."
        raise ConfigurationError(
            problem=problem, remedy="Mount it for writing, or set ATELIER_DATA_DIR to another disk."
        )
    if sys.platform == "win32":
        raise ConfigurationError(problem=f"{path} cannot be written.", remedy="Allow it in the file's properties.")
    me, owner = _user(os.geteuid()), _user(path.stat().st_uid)
    if me == owner:
        remedy = f"Allow it: chmod u+rw{'x' if is_folder else ''} {path}"
        raise ConfigurationError(problem=f"{path} is yours, and you may not write it.", remedy=remedy)
    problem = f"{path} belongs to {owner}, and {me}, who runs this, may not write it."
    raise ConfigurationError(
        problem=problem, remedy=f"Run Atelier as its owner, or change its owner: sudo chown {me} {path}"
    )


def _unreachable(path: Path, error: OSError) -> ConfigurationError:
    problem = f"{path} cannot be reached ({error.strerror or error})."
    return ConfigurationError(problem=problem, remedy="Check the folders above it, and who may enter them.")


def _user(uid: int) -> str:
    if sys.platform != "win32":
        import pwd

        with suppress(KeyError):
            return pwd.getpwuid(uid).pw_name
    return str(uid)
