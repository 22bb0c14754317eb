"""The whole program where nothing but loopback exists: told its token, and led to Discord's own names."""

from __future__ import annotations

import os
from pathlib import Path

from closed_network import make_certificate, run_shut_in

ROOT = Path(__file__).resolve().parents[2]


async def test_it_paints_and_asks_for_nothing_outside(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    settings = {"ATELIER_HOME": str(tmp_path), "ATELIER_DATA_DIR": str(tmp_path)}
    settings |= {"ATELIER_HEALTH_PORT": "0", "PYTHONPATH": str(ROOT)}
    folder = make_certificate(tmp_path)
    bot, token_in = ROOT / "bot.py", "ATELIER_DISCORD_TOKEN"
    await run_shut_in(bot, "serve", token_in=token_in, scenarios="imagine", folder=folder, env=kept | settings)
