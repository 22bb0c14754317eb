"""The HTTP API of Cog: predictions at Replicate, or at a Cog server of one's own. Nothing that comes back is trusted.

    Replicate   POST /predictions -> an id; GET /predictions/ID until it ends; POST /predictions/ID/cancel
    Cog         PUT /predictions/ID, which answers when it ends: a server cannot be asked how far it is

No request is sent twice that could be charged twice. No redirect is followed, no answer is read beyond its limit, and
the token goes to the API's own host alone.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from generation.cloud.settings import CloudSettings
from generation.requests.spec import ImageSpec

MAX_PICTURE_BYTES = 32 << 20
MAX_ANSWER_BYTES = 48 << 20
"""A picture as a data URL is a third larger."""
_REMOTE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DATA_URL = re.compile(r"data:image/[a-z.+-]{1,20};base64,")
_CALL_S, _LOOK_S = 30.0, 10.0
_UNCHARGED = (400, 401, 402, 403, 404, 405, 409, 413, 415, 422, 429)
"""Answers by which nothing was begun."""
_ENDED = ("succeeded", "failed", "canceled", "aborted")


class CloudError(Exception):
    """The server gave no picture. The text is for the log: it holds no prompt, token or answer.

    `is_free`: it is certain that nothing was begun. `rest_s`: how long to leave the server alone, if it says so.
    """

    def __init__(self, reason: str, *, is_free: bool = False, rest_s: float | None = None) -> None:
        super().__init__(reason)
        self.is_free, self.rest_s = is_free, rest_s


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the server says of one."""

    status: str
    id: str = ""
    output: Any = None
    predict_s: float | None = None

    @property
    def is_over(self) -> bool:
        return self.status in _ENDED


class PredictionApi:
    """See the module's text. `session` is closed by its owner."""

    def __init__(self, settings: CloudSettings, session: aiohttp.ClientSession) -> None:
        self._settings, self._session = settings, session
        token = settings.token
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def create(self, prediction_id: str, given: Mapping[str, object], *, timeout_s: float) -> Prediction:
        """Begin a prediction; with a Cog server, wait for its end. Raise `CloudError`."""
        if self._settings.version:
            body = {"version": self._settings.version, "input": given}
            cancel_after = {"Cancel-After": f"{max(5, math.ceil(timeout_s))}s"}
            found = await self._call("POST", "/predictions", body, headers=cancel_after, timeout_s=_CALL_S)
            if not _REMOTE_ID.fullmatch(found.id):
                raise CloudError("it named no id")
            return found
        return await self._call("PUT", f"/predictions/{prediction_id}", {"input": given}, timeout_s=timeout_s)

    async def get(self, remote_id: str) -> Prediction:
        """Raise `CloudError` if there is no answer."""
        return await self._call("GET", f"/predictions/{remote_id}", timeout_s=_CALL_S)

    async def cancel(self, remote_id: str) -> None:
        """Ask for a prediction to stop; whether it did is told by `get`. No error."""
        try:
            await self._call("POST", f"/predictions/{remote_id}/cancel", timeout_s=_CALL_S, is_json=False)
        except CloudError:
            return

    async def look(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return the status of a page and the JSON object on it; without one, an empty object. Raise `CloudError`."""
        url = self._settings.url + path
        status, data, _ = await self._send("GET", url, headers=self._headers, timeout_s=_LOOK_S, limit=MAX_ANSWER_BYTES)
        try:
            return status, msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            return status, {}

    async def fetch_picture(self, output: object) -> bytes:
        """Return the file that a prediction put out. Raise `CloudError`."""
        url = output[0] if isinstance(output, list) and output else output
        if not isinstance(url, str):
            raise CloudError("it put out no picture")
        if found := _DATA_URL.match(url):
            try:
                data = base64.b64decode(url[found.end() :], validate=True)
            except (binascii.Error, ValueError):
                raise CloudError("its picture is no base64") from None
            return _bounded(data)
        headers = self._headers if self._require_known(url) else {}
        _, data, _ = await self._send("GET", url, headers=headers, timeout_s=_CALL_S, limit=MAX_PICTURE_BYTES)
        return data

    def _require_known(self, url: str) -> bool:
        """Return whether the URL is of the API itself. Raise `CloudError` if it is of no host that is allowed."""
        own = urlsplit(self._settings.url)
        try:
            parts = urlsplit(url)
            is_own = (parts.scheme, parts.hostname, parts.port) == (own.scheme, own.hostname, own.port)
            is_allowed = (
                parts.scheme == "https" and parts.hostname in self._settings.hosts and parts.port in (None, 443)
            )
        except ValueError:
            is_own = is_allowed = False
        if not (is_own or is_allowed):
            raise CloudError("its picture is on a host that is not allowed (ATELIER_CLOUD_HOSTS)")
        return is_own

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        is_json: bool = True,
    ) -> Prediction:
        status, data, answered = await self._send(
            method,
            self._settings.url + path,
            headers={**self._headers, "Content-Type": "application/json", **(headers or {})},
            body=None if body is None else msgspec.json.encode(body),
            timeout_s=timeout_s,
            limit=MAX_ANSWER_BYTES,
        )
        if status not in (200, 201, 202):
            is_free = status in _UNCHARGED
            raise CloudError(f"it answered {status}", is_free=is_free, rest_s=_read_rest(status, answered))
        return _read_prediction(data) if is_json else Prediction("")

    async def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        limit: int,
        body: bytes | None = None,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                if 300 <= answer.status < 400:
                    raise CloudError("it redirects, which is not followed")
                data = await _read(answer, limit)
                if answer.status >= 400 and limit == MAX_PICTURE_BYTES:
                    raise CloudError(f"its picture answered {answer.status}")
                return answer.status, data, answer.headers
        except TimeoutError:
            raise CloudError(f"it did not answer in {timeout_s:g} s") from None
        except aiohttp.ClientConnectorError:
            raise CloudError("it cannot be reached", is_free=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CloudError(f"the connection failed ({type(error).__name__})") from None


def list_inputs(spec: ImageSpec) -> dict[str, object]:
    """Return the inputs of a prediction, by the names that models of Stable Diffusion have there."""
    given: dict[str, object] = {
        "prompt": spec.prompt,
        "width": spec.width_px,
        "height": spec.height_px,
        "num_inference_steps": spec.steps,
        "guidance_scale": spec.guidance,
        "seed": spec.seed,
    }
    return {**given, "negative_prompt": spec.negative} if spec.negative else given


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > limit:
            raise CloudError("its answer is too large")
    return bytes(data)


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_PICTURE_BYTES:
        raise CloudError("its answer is too large")
    return data


def _read_prediction(data: bytes) -> Prediction:
    try:
        said = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise CloudError("its answer is no prediction") from None
    status, name, metrics = said.get("status"), said.get("id"), said.get("metrics")
    if not isinstance(status, str):
        raise CloudError("its answer is no prediction")
    took = metrics.get("predict_time") if isinstance(metrics, dict) else None
    is_time = isinstance(took, int | float) and not isinstance(took, bool) and 0 <= took < 86_400
    remote = name if isinstance(name, str) and _REMOTE_ID.fullmatch(name) else ""
    return Prediction(status, remote, said.get("output"), float(took) if is_time else None)  # type: ignore[arg-type]


def _read_rest(status: int, headers: Mapping[str, str]) -> float | None:
    """Return how long to leave the server alone: an account without money or rights for ten minutes."""
    if status in (401, 402, 403):
        return 600.0
    if status == 429:
        said = headers.get("Retry-After", "")
        return min(600.0, max(1.0, float(said))) if re.fullmatch(r"\d{1,6}", said) else 30.0
    return None
