"""The settings of a cloud worker: a part of `config.Settings`. Nothing of it is on unless its URL is set."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from generation.cloud.settings import check_cloud_url

_HOST = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")


def _check_url(url: str | None) -> str | None:
    return None if url is None else check_cloud_url(url)


def _check_version(version: str) -> str:
    if not re.fullmatch(r"[\w./:-]{0,200}", version):
        raise ValueError("it should be the version of a model, 64 hex digits")
    return version


def _check_hosts(hosts: str) -> str:
    if not all(_HOST.fullmatch(each) for each in _split(hosts)):
        raise ValueError("it should be hosts with commas between them, such as replicate.delivery")
    return hosts


def _split(hosts: str) -> list[str]:
    return [each.strip().lower() for each in hosts.split(",") if each.strip()]


class CloudChoices(BaseModel):
    """See docs/cloud-worker.md."""

    cloud_url: Annotated[str | None, AfterValidator(_check_url)] = Field(
        None,
        repr=False,
        description="A cloud worker: the API of Replicate, or a Cog server of your own. Prompts are sent there.",
    )
    cloud_token: SecretStr | None = Field(None, description="The token of that API.")
    cloud_version: Annotated[str, AfterValidator(_check_version)] = Field(
        "", description="The version of the model at Replicate. Empty: a Cog server of your own."
    )
    cloud_model: str = Field("", description="Whose pictures it may paint, by the name here. Empty: the default model.")
    cloud_price: float = Field(
        0.0, ge=0, le=1e6, allow_inf_nan=False, description="The most that a picture costs there, in your money."
    )
    cloud_price_s: float = Field(
        0.0,
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        description="What a second costs there; 0: each costs ATELIER_CLOUD_PRICE.",
    )
    cloud_budget: float = Field(
        0.0, ge=0, le=1e9, allow_inf_nan=False, description="What may be spent there in a month, in UTC."
    )
    cloud_slots: int = Field(2, ge=1, le=64, description="Pictures that are painted there at once.")
    cloud_hosts: Annotated[str, AfterValidator(_check_hosts)] = Field(
        "", description="Other hosts that its pictures may be fetched from, with commas: replicate.delivery."
    )
    cloud_timeout_s: float = Field(
        300.0, ge=5, le=3000, allow_inf_nan=False, description="Seconds until a picture there is given up."
    )

    @property
    def other_hosts(self) -> frozenset[str]:
        return frozenset(_split(self.cloud_hosts))
