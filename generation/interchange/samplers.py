"""What other tools call the samplers we have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from generation.samplers import SAMPLERS

_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "euler_ancestral": "Euler a",
        "euler_a": "Euler a",
        "k_euler_a": "Euler a",
        "euler": "Euler",
        "k_euler": "Euler",
        "heun": "Heun",
        "k_heun": "Heun",
        "dpmpp_2m": "DPM++ 2M",
        "dpmpp_2m_k": "DPM++ 2M Karras",
        "dpmpp_2m_sde": "DPM++ 2M SDE",
        "dpmpp_2m_sde_gpu": "DPM++ 2M SDE",
        "ddim": "DDIM",
        "pndm": "PLMS",
        "plms": "PLMS",
        "uni_pc": "UniPC",
        "unipc": "UniPC",
        "lcm": "LCM",
    }
)
_BY_FOLDED = {name.casefold(): name for name in SAMPLERS}


def our_sampler(there: str | None, *, schedule: str | None = None) -> str | None:
    """Our name of a sampler that another tool names, with the noise schedule it names beside it; None if we lack it."""
    if there is None:
        return None
    folded = there.strip().casefold()
    found = _BY_FOLDED.get(folded) or _ELSEWHERE.get(folded.replace(" ", "_"))
    if found is not None and (schedule or "").strip().casefold() == "karras":
        return _BY_FOLDED.get(f"{found} karras".casefold(), found)
    return found
