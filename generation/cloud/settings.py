"""What the operator chose of a cloud worker, checked."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from generation.cloud.money import to_micros
from generation.loopback import is_loopback_host


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """`url`: the base of the API. With a `version` it is Replicate's, where predictions are asked about by their id;
    without, a Cog server of one's own. Prices and budget are in millionths."""

    url: str = field(repr=False)
    model: str
    price: int
    budget: int
    price_s: int = 0
    version: str = ""
    token: str = field(default="", repr=False)
    hosts: frozenset[str] = frozenset()
    """Other hosts that pictures may be fetched from."""
    num_slots: int = 2
    timeout_s: float = 300.0
    poll_s: float = 1.0

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def price_of(self, predict_s: float | None) -> int:
        """Return what a prediction cost that ran for so long; the whole price where the server does not say."""
        if not self.price_s or predict_s is None:
            return self.price
        return to_micros(predict_s * self.price_s / 1e6)


def check_cloud_url(url: str) -> str:
    """Return the base URL without its last slash. Raise `ValueError` if words and token would travel in the open."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("it should be such as https://api.replicate.com/v1 or http://127.0.0.1:5000")
    if parts.scheme == "http" and not _is_private(parts.hostname):
        raise ValueError("prompts and the token would travel unencrypted: use https, or a private address")
    return url.strip().rstrip("/")


def _is_private(host: str) -> bool:
    try:
        return is_loopback_host(host) or ipaddress.ip_address(host).is_private
    except ValueError:
        return False
