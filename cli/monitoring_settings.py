"""The settings of what watches the bot: a part of `config.Settings`."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field


def _check_host(host: str) -> str:
    bare = host.strip().removeprefix("[").removesuffix("]")
    if bare.lower() == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        raise ValueError("it should be an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all") from None


def _check_url(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it should be an address such as http://127.0.0.1:4318/v1/traces")
    return url


class MonitoringChoices(BaseModel):
    """See docs/monitoring.md."""

    health_port: int = Field(
        8790, ge=0, le=65535, description="Port of /livez, /readyz, /healthz and /metrics; 0 switches them off."
    )
    http_host: Annotated[str, AfterValidator(_check_host)] = Field(
        "127.0.0.1",
        description="The address they are served on. Another than a loopback one shows them to the network.",
    )
    trace_endpoint: Annotated[str | None, AfterValidator(_check_url)] = Field(
        None,
        repr=False,
        description="Where OpenTelemetry traces are sent (OTLP over HTTP), with the extra `tracing`. They name no one.",
    )
    log_format: Literal["text", "json"] = Field("text", description="Lines of the log as text, or each as JSON.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")
