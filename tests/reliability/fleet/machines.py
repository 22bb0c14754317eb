"""Several machines on this one: each has a network, a host name, files of Ray and processes of its own.

They are Linux namespaces whose networks meet at a bridge, as at a switch: a machine whose cable is pulled there hears
nothing and is not heard, and nothing tells either side. `isolate` puts the whole program into namespaces first, so
that all it started ends with it, and a second run beside it is no trouble.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psutil

NETWORK = "10.213.0"
DESK = f"{NETWORK}.1"
"""The address of the machine that the program itself runs on."""
_ISOLATED = "CHAOS_IS_ISOLATED"
_RAY_FILES = "/tmp/ray"
_NAMESPACES = ("--net", "--uts", "--mount")
_NOT_HERE = "This needs Linux with `unshare`, `nsenter` and `ip`, and root or user namespaces"


class NoMachinesError(Exception):
    """A program may not have namespaces of its own here."""


def isolate(command: Sequence[str]) -> None:
    """Become that command in namespaces of its own, or return if this is it. Raise `NoMachinesError` if that cannot
    be."""
    if not os.environ.get(_ISOLATED):
        if reason := _find_obstacle():
            raise NoMachinesError(reason)
        # The shell is the first process there: it waits for those whose parents are gone.
        line = f"{shlex.join(command)}; exit $?"
        words = [*_unshare(), "--pid", "--fork", "--mount-proc", "--kill-child", "--", "sh", "-c", line]
        os.execvpe(words[0], words, os.environ | {_ISOLATED: "1"})
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "switch", "type", "bridge")
    _run("ip", "link", "set", "switch", "address", "02:00:00:00:00:01")  # else it changes with what is plugged in
    _run("ip", "addr", "add", f"{DESK}/24", "dev", "switch")
    _run("ip", "link", "set", "switch", "up")
    _run("ip", "route", "add", "default", "dev", "switch")  # else Ray waits for a name server to learn its address
    _run("hostname", "desk")
    Path(_RAY_FILES).mkdir(exist_ok=True)
    _run("mount", "-t", "tmpfs", "none", _RAY_FILES)


def _unshare() -> tuple[str, ...]:
    return ("unshare", *(("--user", "--map-root-user") if os.geteuid() else ()), *_NAMESPACES)


def _find_obstacle() -> str:
    """Return why there can be no machines here; empty if there can."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return f"{_NOT_HERE}."
    trial = [*_unshare(), "ip", "link", "add", "switch", "type", "bridge"]
    said = subprocess.run(trial, capture_output=True, text=True, check=False)
    return f"{_NOT_HERE}: {said.stderr.strip()}." if said.returncode else ""


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class Machine:
    """One machine at the switch, whose address is that number. It boots at once."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self._frozen: list[psutil.Process] = []
        script = f"hostname {name} && mount -t tmpfs none {_RAY_FILES} && echo up && exec sleep infinity"
        words = ["unshare", *_NAMESPACES, "sh", "-c", script]
        self._holder = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None and self._holder.stdout.readline() == "up\n", f"{name} does not boot"
        pid = str(self._holder.pid)
        self.inside = ("nsenter", "-t", pid, "--net", "--uts", "--mount")
        """What a command begins with that runs here."""
        _run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", pid)
        _run("ip", "link", "set", name, "master", "switch", "up")
        _run(*self.inside, "ip", "link", "set", "lo", "up")
        _run(*self.inside, "ip", "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
        _run(*self.inside, "ip", "link", "set", "eth0", "up")
        _run(*self.inside, "ip", "route", "add", "default", "via", DESK)

    def kill(self) -> None:
        """End all that runs here, as when the power goes."""
        signal_all(self.list_processes(), signal.SIGKILL)
        self._frozen = []

    def freeze(self) -> None:
        """Stop all that runs here."""
        self._frozen = list(self.list_processes())
        signal_all(self._frozen, signal.SIGSTOP)

    def wake(self) -> None:
        """Let what was frozen go on where it stood."""
        frozen, self._frozen = self._frozen, []
        signal_all(frozen, signal.SIGCONT)

    def pull_cable(self) -> None:
        """Have the network swallow all that it says and all that is said to it."""
        _run("ip", "link", "set", self.name, "down")

    def plug_in(self) -> None:
        _run("ip", "link", "set", self.name, "up")

    def find(self, what: str) -> list[psutil.Process]:
        """Return what runs here with that in its command line."""
        return find_processes(self.list_processes(), what)

    def list_processes(self) -> Iterator[psutil.Process]:
        """Yield what runs in this machine's network, but for what holds it."""
        own = _network_of(self._holder.pid)
        for process in psutil.process_iter():
            if process.pid != self._holder.pid and _network_of(process.pid) == own:
                yield process


def find_processes(processes: Iterable[psutil.Process], what: str) -> list[psutil.Process]:
    """Return those of the processes whose command line has that."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if what in " ".join(process.cmdline()):
                found.append(process)
    return found


def signal_all(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in list(processes):
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def _network_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""
