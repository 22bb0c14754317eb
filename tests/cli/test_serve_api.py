"""The API without Discord: one command, a key from the shell, and OpenAI's client paints; SIGTERM ends it."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
from functools import partial
from pathlib import Path

import openai
import pytest

from bench.light_engine import ENGINE
from cli import tokens, workers
from cli.serve_api import serve_api_alone
from config import Settings
from generation.images.metadata import read_recipe
from generation.workers.frames import WorkerConfig
from tests.patience import PATIENCE_S


async def test_one_command_serves_until_it_is_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WorkerConfig", partial(WorkerConfig, engine=ENGINE))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = Settings(data_dir=tmp_path, api_port=port, health_port=0)
    key = await tokens.create(settings, "laptop")
    serving = asyncio.create_task(serve_api_alone(settings))
    async with openai.AsyncOpenAI(
        api_key=key, base_url=f"http://127.0.0.1:{port}/v1", timeout=PATIENCE_S, max_retries=1000
    ) as client:
        answer = await client.images.generate(prompt="a red circle", extra_body={"size": "64x64", "steps": 2})
        assert read_recipe(base64.b64decode(answer.data[0].b64_json)).spec.prompt == "a red circle"
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL, "it would end the process of the tests"
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(PATIENCE_S):
        await serving
