"""Signs members in with Discord: OAuth 2.0, the code flow, scope `identify`. Nothing else of them is asked for.

https://discord.com/developers/docs/topics/oauth2
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from api.errors import ApiError
from api.web.settings import WebSettings

TIMEOUT_S = 15.0


class SignInError(ApiError):
    """Discord did not sign you in. Try again."""


class SignInStateError(ApiError):
    """This sign-in was begun in another browser, or too long ago. Begin again."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who signed in."""

    user_id: int
    name: str


class _Token(BaseModel):
    access_token: str = Field(repr=False)


class _User(BaseModel):
    id: int
    username: str
    global_name: str | None = None


class _Authorization(BaseModel):
    user: _User


def build_authorize_url(settings: WebSettings, state: str) -> str:
    """Return where a browser asks the member; `state` comes back with the answer."""
    query = {
        "client_id": settings.client_id,
        "response_type": "code",
        "scope": "identify",
        "redirect_uri": settings.redirect_url,
        "state": state,
        "prompt": "none",
    }
    return f"{settings.authorize_url}?{urlencode(query)}"


async def fetch_person(settings: WebSettings, code: str) -> Person:
    """Return who gave this code, and forget Discord's token at once. Raise `SignInError`."""
    form = {
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": settings.redirect_url,
    }
    try:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), raise_for_status=True, trust_env=True
        ) as session:
            async with session.post(f"{settings.discord_api_url}/oauth2/token", data=form) as answer:
                token = _Token.model_validate(await answer.json())
            bearer = {"Authorization": f"Bearer {token.access_token}"}
            async with session.get(f"{settings.discord_api_url}/oauth2/@me", headers=bearer) as answer:
                user = _Authorization.model_validate(await answer.json()).user
    except (aiohttp.ClientError, TimeoutError, OSError, ValidationError, ValueError):
        raise SignInError from None
    return Person(user.id, user.global_name or user.username)
