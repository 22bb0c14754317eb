"""Who is signed in, in memory: a restart signs everyone out. Cookies hold a random key; its SHA-256 is what is kept."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError, NoKeyError
from api.web.sign_in import Person, SignInStateError

MAX_SESSIONS = 10_000
LASTS_S = 12 * 3600.0
STATE_LASTS_S = 600.0
COOKIE, STATE_COOKIE = "atelier-session", "atelier-sign-in"


class NotSignedInError(NoKeyError):
    """Sign in first."""

    def __init__(self, to: str = "") -> None:
        super().__init__()
        self.to = to
        """The page that was asked for."""


class FormError(ApiError):
    """This form is too old. Load the page again."""


@dataclass(frozen=True, slots=True)
class Session:
    """`form_key` is in every form of the page, so that no other site can send one."""

    person: Person
    begun_s: float
    form_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)


class Sessions:
    """By the hash of their cookie; the oldest end first."""

    def __init__(self, monotonic: Callable[[], float], *, is_tls: bool) -> None:
        self._monotonic, self._is_tls = monotonic, is_tls
        self._found: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, response: Response, person: Person) -> None:
        """Sign a person in, with a new cookie: none that was there before is taken over."""
        key = secrets.token_urlsafe(32)
        self._found[_digest(key)] = Session(person, self._monotonic())
        while len(self._found) > MAX_SESSIONS:
            self._found.popitem(last=False)
        self._set(response, COOKIE, key, lasts_s=LASTS_S)

    def find(self, request: Request) -> Session | None:
        """Return who asks; None if they are not signed in."""
        key = request.cookies.get(self._name(COOKIE), "")
        session = self._found.get(_digest(key)) if key else None
        if session is not None and self._monotonic() - session.begun_s > LASTS_S:
            del self._found[_digest(key)]
            return None
        return session

    def require(self, request: Request) -> Session:
        """Return who asks. Raise `NotSignedInError`."""
        session = self.find(request)
        if session is None:
            raise NotSignedInError(request.url.path if request.method == "GET" else "")
        return session

    def end(self, request: Request, response: Response) -> None:
        key = request.cookies.get(self._name(COOKIE), "")
        self._found.pop(_digest(key), None)
        response.delete_cookie(self._name(COOKIE))

    def begin_state(self, response: Response, to: str) -> str:
        """Return a value that has to come back from Discord, bound to this browser; `to` is where it leads then."""
        state = f"{secrets.token_urlsafe(24)}{to}"
        self._set(response, STATE_COOKIE, state, lasts_s=STATE_LASTS_S)
        return state

    def require_state(self, request: Request, state: str) -> str:
        """Return where this sign-in leads. Raise `SignInStateError` unless this browser began it."""
        expected = request.cookies.get(self._name(STATE_COOKIE), "")
        if not expected or not secrets.compare_digest(expected.encode(), state.encode()):
            raise SignInStateError
        return "/" + state.partition("/")[2]

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self._is_tls else name

    def _set(self, response: Response, name: str, value: str, *, lasts_s: float) -> None:
        response.set_cookie(
            self._name(name), value, max_age=int(lasts_s), httponly=True, secure=self._is_tls, samesite="lax", path="/"
        )


def require_form_key(session: Session, said: str) -> None:
    """Raise `FormError` unless the form is of a page that was made for this session."""
    if not secrets.compare_digest(session.form_key.encode(), said.encode()):
        raise FormError


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()
