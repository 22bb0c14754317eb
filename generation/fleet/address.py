"""The address of a fleet: where Ray's head listens, and which addresses that may be."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field

from generation.errors import ConfigurationError

DEFAULT_PORT = 6379


class FleetAddressError(ConfigurationError):
    """{problem} {remedy}"""


@dataclass(frozen=True, slots=True)
class FleetAddress:
    """Ray's head and the token of its cluster."""

    host: str
    port: int
    token: str = field(repr=False)

    @property
    def text(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of HOST or HOST:PORT. Raise `FleetAddressError` for anything else, and for a public
    address: Ray encrypts nothing, and who has the token may run anything on every machine."""
    host, _, port = text.rpartition(":") if _has_port(text) else (text, "", str(DEFAULT_PORT))
    host = host.strip("[]")
    is_number = port.isdecimal() and 0 < int(port) < 2**16
    if not host or not is_number or any(sign.isspace() or sign in "/@" for sign in host):
        remedy = f"Write host:port, such as 10.8.0.1:{DEFAULT_PORT}."
        raise FleetAddressError(problem=f"“{text[:80]}” is not the address of a fleet.", remedy=remedy)
    require_private(host)
    return host, int(port)


def read_address(text: str | None) -> str | None:
    """Return an address as host:port. Raise `ValueError`, as settings want it, where `parse_address` refuses."""
    try:
        return None if text is None else FleetAddress(*parse_address(text.strip()), "").text
    except FleetAddressError as wrong:
        raise ValueError(str(wrong).rstrip(".")) from None


def _has_port(text: str) -> bool:
    return "]:" in text if text.startswith("[") else text.count(":") == 1


def require_private(host: str) -> None:
    """Raise `FleetAddressError` if `host` is a public address. A name is judged when it is looked up."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if address.is_global or address.is_unspecified or address.is_multicast:
        problem = f"{host} is not a private address, and Ray encrypts nothing: anyone who listens there gets the token."
        remedy = "Use one of a private network or of WireGuard (docs/fleet.md)."
        raise FleetAddressError(problem=problem, remedy=remedy)


def require_private_name(host: str, port: int) -> None:
    """Raise `FleetAddressError` if `host` is, or is the name of, a public address. Blocks."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return  # Ray says so itself
    for *_, place in found:
        require_private(str(place[0]).partition("%")[0])
