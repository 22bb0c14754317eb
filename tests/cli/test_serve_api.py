"""The API without Discord: one command, a key from the shell, and OpenAI's client paints; SIGTERM ends it."""

from __future__ import annotations

import asyncio
import base64
import signal
import socket
import sys
from pathlib import Path

import openai

from bench.light_engine import ENGINE
from cli import tokens
from config import Settings
from generation.images.metadata import read_recipe
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
SERVING = """
import asyncio, sys
from functools import partial
from pathlib import Path

from cli import workers
from cli.serve_api import serve_api_alone
from config import Settings
from generation.workers.frames import WorkerConfig

engine, folder, port = sys.argv[1:]
workers.WorkerConfig = partial(WorkerConfig, engine=engine)
asyncio.run(serve_api_alone(Settings(data_dir=Path(folder), api_port=int(port), health_port=0)))
"""


async def test_one_command_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = await tokens.create(Settings(data_dir=tmp_path), "laptop")
    command = (sys.executable, "-c", SERVING, ENGINE, str(tmp_path), str(port))
    serving = await asyncio.create_subprocess_exec(*command, cwd=ROOT)  # a signal to this process could end the tests
    try:
        async with openai.AsyncOpenAI(
            api_key=key, base_url=f"http://127.0.0.1:{port}/v1", timeout=PATIENCE_S, max_retries=1000
        ) as client:
            answer = await client.images.generate(prompt="a red circle", extra_body={"size": "64x64", "steps": 2})
            assert read_recipe(base64.b64decode(answer.data[0].b64_json)).spec.prompt == "a red circle"
        serving.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            assert await serving.wait() == 0
    finally:
        if serving.returncode is None:
            serving.kill()
            await serving.wait()
