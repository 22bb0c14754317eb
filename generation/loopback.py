"""Whether an address is this machine's own."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback_host(host: str | None) -> bool:
    """Return whether a host name or an IP address, without brackets and port, is this machine's loopback."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Return whether it is `http://` and a loopback host with a port."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and parts.port is not None and is_loopback_host(parts.hostname)
    except ValueError:
        return False
