"""The settings of the API: a part of `config.Settings`. Nothing of it is on unless its port is set."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field


def _check_host(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("it should be an address of this machine, such as 127.0.0.1 or 0.0.0.0") from None
    return host


class ApiChoices(BaseModel):
    """See docs/api.md."""

    api_port: int = Field(0, ge=0, le=65535, description="Port of the API; 0 switches it off.")
    api_host: Annotated[str, AfterValidator(_check_host)] = Field(
        "127.0.0.1", description="The address at which the API listens; with another than loopback, behind TLS only."
    )
    api_tls: bool = Field(
        False, description="A proxy before the API speaks TLS. Without it, the API listens on loopback only."
    )
