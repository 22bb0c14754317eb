"""Asks the server of a cloud worker who it is. No prediction begins, so nothing here is charged."""

from __future__ import annotations

from typing import Any

from generation.cloud.api import CloudError, PredictionApi
from generation.cloud.settings import CloudSettings

INPUTS = ("prompt", "negative_prompt", "width", "height", "num_inference_steps", "guidance_scale", "seed")
_WORKS = ("READY", "BUSY", "STARTING")
_DEAD = ("SETUP_FAILED", "DEFUNCT", "UNHEALTHY")


async def probe(settings: CloudSettings, api: PredictionApi) -> str:
    """Return how the server answers, in words. Raise `CloudError` if pictures cannot come of it."""
    return await (_probe_replicate if settings.version else _probe_cog)(api)


async def _probe_replicate(api: PredictionApi) -> str:
    """Ask for the account of the token: the one thing at Replicate that says whether a token is good."""
    status, said = await api.look("/account")
    if status in (401, 403):
        raise CloudError(f"it refuses the token ({status})")
    if status != 200 or not isinstance(said.get("username"), str):
        raise CloudError(f"it does not answer as Replicate does ({status} for /account)")
    return "answers as Replicate does, and takes the token"


async def _probe_cog(api: PredictionApi) -> str:
    status, said = await api.look("/health-check")
    state = said.get("status")
    if status in (401, 403):
        raise CloudError(f"it refuses the token ({status})")
    if status != 200 or state not in (*_WORKS, *_DEAD):
        raise CloudError(f"it does not answer as Cog does ({status} for /health-check)")
    if state in _DEAD:
        raise CloudError(f"its model does not work ({state})")
    if missing := [name for name in INPUTS if name not in _list_inputs((await api.look("/openapi.json"))[1])]:
        raise CloudError(f"its model does not take {', '.join(missing)}")
    return f"answers as Cog does, and is {str(state).lower()}"


def _list_inputs(document: dict[str, Any]) -> tuple[str, ...]:
    """Return the inputs that the server's own description names; all of ours where it has none to read."""
    found: Any = document
    for name in ("components", "schemas", "Input", "properties"):
        found = found.get(name) if isinstance(found, dict) else None
    return tuple(found) if isinstance(found, dict) else INPUTS
