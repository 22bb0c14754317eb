"""The settings of the API: a part of `config.Settings`. Nothing of it is on unless its port is set."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from generation.loopback import is_loopback_url


def _check_host(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("it should be an address of this machine, such as 127.0.0.1 or 0.0.0.0") from None
    return host


def _check_url(url: str) -> str:
    """Return it without a slash at its end. Sessions travel over TLS, or do not leave the machine."""
    url = url.rstrip("/")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query):
        raise ValueError("it should be an address such as https://pictures.example.org, with no path")
    if parts.scheme == "http" and not is_loopback_url(url):
        raise ValueError("it should begin with https://, so that no one reads along")
    return url


class ApiChoices(BaseModel):
    """See docs/api.md."""

    api_port: int = Field(0, ge=0, le=65535, description="Port of the API; 0 switches it off.")
    api_host: Annotated[str, AfterValidator(_check_host)] = Field(
        "127.0.0.1", description="The address at which the API listens; with another than loopback, behind TLS only."
    )
    api_tls: bool = Field(
        False, description="A proxy before the API speaks TLS. Without it, the API listens on loopback only."
    )
    web_url: Annotated[str, AfterValidator(_check_url)] = Field(
        "", description="The address at which browsers reach the web pages, such as https://pictures.example.org."
    )
    web_client_secret: SecretStr | None = Field(
        None, description="The client secret of the bot's application, for the sign-in of the web pages."
    )
    web_client_id: str = Field("", description="The id of the bot's application, where its token does not say it.")
