"""The machines of a fleet from the shell: begin one, join it, look at it, and let a machine go.

`head` and `join` become Ray's own `ray start`, which runs until it is stopped: a service manager sees one process. Ray
is looked for, and is not loaded here.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from cli.fleet_settings import build_driver_config, read_fleet_address, require_ray
from cli.hardware import find_card
from config import Settings
from db.file_permissions import create_private
from generation.errors import ConfigurationError
from generation.fleet.address import FleetAddress, FleetAddressError, parse_address
from generation.fleet.messages import FleetReport
from generation.fleet.query import ask_fleet
from generation.fleet.ray_resources import CPU_MEMBERS
from generation.local_files import FileUnusableError, decode_text, read_file
from generation.program import format_command

_ROOT = Path(__file__).resolve().parents[1]
_TOKEN_FILE = "fleet-token"
_STORE_BYTES = 200 * 1000**2
"""Of Ray's shared memory on each machine: a picture of 1024 pixels takes 3 MB on its way."""
_MIN_TOKEN, _MAX_TOKEN_BYTES = 32, 4096
_ANSWER_S = 60.0


@dataclass(frozen=True, slots=True)
class Start:
    """A `ray start`: its words, what it adds to the environment, and what to say before."""

    words: list[str]
    environment: dict[str, str]
    says: tuple[str, ...]


def prepare_head(settings: Settings, on: str, *, is_firewalled: bool) -> Start:
    """Return how to begin a fleet at this address of this machine. Raise `ConfigurationError` if that cannot be."""
    require_ray()
    host, port = parse_address(on)
    _require_own(host)
    if not is_firewalled:
        require_no_public_address(_own_addresses())
    token_file = settings.data_dir / _TOKEN_FILE
    _make_token(token_file)
    words = ["--head", f"--node-ip-address={host}", f"--port={port}", "--num-gpus=0", "--include-dashboard=false"]
    words.append("--no-monitor")  # which would add machines of a cloud
    address = FleetAddress(host, port, "").text
    says = (
        f"The token is in {token_file}: anyone who has it may run anything on every machine. Copy it safely, then type",
        f"  on each other machine: {format_command(f'fleet join {address} --token-file FILE')}",
        f"  in the bot's .env: ATELIER_FLEET={address}",
        f"                     ATELIER_FLEET_TOKEN_FILE={token_file}",
    )
    return _start(words, token_file, settings, says)


def prepare_join(
    settings: Settings,
    head: str,
    token_file: Path,
    *,
    on: str | None,
    is_firewalled: bool,
    has_cards: bool = True,
) -> Start:
    """Return how to join a fleet with the cards of this machine; without any, with its processor.

    Not `has_cards`: with nothing, for the machine of a bot whose fleet has its head elsewhere.

    Raise `ConfigurationError` if that cannot be.
    """
    require_ray()
    host, port = parse_address(head)
    read_token(token_file)
    own = on or _find_way(host, port)
    parse_address(own)
    _require_own(own)
    if not is_firewalled:
        require_no_public_address(_own_addresses())
    words = [f"--address={FleetAddress(host, port, '').text}", f"--node-ip-address={own}"]
    words.append(f"--node-name={socket.gethostname().partition('.')[0]}")
    offers = "its graphics cards"
    if not has_cards:
        words.append("--num-gpus=0")
        offers = "nothing: it leads the bot here to the fleet"
    elif not find_card():
        words += ["--num-gpus=0", f"--resources={json.dumps({CPU_MEMBERS: 1})}"]
        offers = "its processor, for there is no graphics card"
    says = (
        f"This machine joins the fleet of {host} as {own} and offers {offers}, until this is stopped.",
        f"Its models are those in {settings.folder_of_models}: {format_command('models list')}.",
    )
    return _start(words, token_file, settings, says)


def run_ray(start: Start) -> None:
    """Become Ray's process."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *start.words]
    for line in (*start.says, f"It runs: {shlex.join(command)}"):
        print(line, flush=True)  # noqa: T201
    os.execve(sys.executable, command, os.environ | start.environment)


def _start(words: Iterable[str], token_file: Path, settings: Settings, says: tuple[str, ...]) -> Start:
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file.absolute()),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))),
        "ATELIER_DATA_DIR": str(settings.data_dir.absolute()),
        "ATELIER_MODELS_DIR": str(settings.folder_of_models.absolute()),
    }
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    # Without a process that sends the logs of every machine to a driver that wants none.
    common = ("--num-cpus=0", f"--object-store-memory={_STORE_BYTES}", "--include-log-monitor=false", "--block")
    return Start([*words, *common], environment, says)


def require_no_public_address(addresses: Iterable[str]) -> None:
    """Raise `FleetAddressError` if one of this machine's addresses is public: Ray listens on all of them."""
    public = sorted(each for each in addresses if ipaddress.ip_address(each).is_global)
    if public:
        raise FleetAddressError(
            problem=f"This machine has the public address {', '.join(public)}, and Ray listens on every address.",
            remedy="Close all ports but your own there with a firewall (docs/fleet.md), then add --behind-firewall.",
        )


def _own_addresses() -> Iterator[str]:
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family in (socket.AF_INET, socket.AF_INET6):
                yield each.address.partition("%")[0]


def _require_own(host: str) -> None:
    """Raise `FleetAddressError` if this machine does not have the address."""
    if host not in _own_addresses():
        found = ", ".join(sorted(each for each in _own_addresses() if not ipaddress.ip_address(each).is_link_local))
        raise FleetAddressError(problem=f"{host} is no address of this machine.", remedy=f"It has {found}.")


def _find_way(host: str, port: int) -> str:
    """Return the address of this machine on the way to `host`. Nothing is sent."""
    try:
        family, kind, number, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, number) as asking:
            asking.connect(place)
            return str(asking.getsockname()[0])
    except OSError as error:
        problem = f"There is no way to {host} from here ({error.strerror or error})."
        raise FleetAddressError(problem=problem, remedy="Check the address and the network.") from None


def _make_token(file: Path) -> None:
    if file.exists():
        read_token(file)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    create_private(file)
    file.write_text(secrets.token_hex(32), encoding="utf-8")


def read_token(file: Path) -> str:
    """Return the token in a file. Raise `ConfigurationError` if there is none."""
    try:
        token = decode_text(read_file(file, max_bytes=_MAX_TOKEN_BYTES)).strip()
        if len(token) < _MIN_TOKEN or len(token.split()) != 1:
            raise FileUnusableError("holds no token of a fleet", "Copy the file that `fleet head` made.")
    except FileUnusableError as wrong:
        raise ConfigurationError(problem=f"{file} {wrong.problem}.", remedy=wrong.remedy) from None
    return token


async def ask(settings: Settings, question: str) -> FleetReport:
    """Return the answer to a question. Raise `ConfigurationError` if the fleet cannot be asked."""
    return await ask_fleet(read_fleet_address(settings), build_driver_config(settings), question, within_s=_ANSWER_S)


async def drain(settings: Settings, name: str, *, undo: bool) -> list[str]:
    """Have a member, or all of a machine, take nothing new, or work again. Return which these are.

    Raise `ConfigurationError` if there is none of that name.
    """
    report = await ask(settings, f"{'undrain' if undo else 'drain'} {name}")
    meant = [each for each, facts in report.members.items() if name in (each, facts.machine)]
    if not meant:
        known = ", ".join(sorted({*report.members, *report.unused, *report.refused})) or "none"
        raise ConfigurationError(problem=f"No member is called “{name}”.", remedy=f"There are: {known}.")
    return meant


def describe_drain(meant: Iterable[str], *, undo: bool) -> Iterator[str]:
    """Yield what `drain` did, a line each."""
    then = "It ends what it paints, then gives its memory back; `fleet status` says when."
    for each in meant:
        yield f"{each} works again." if undo else f"{each} takes nothing new. {then}"
