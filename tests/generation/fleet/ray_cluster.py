"""A Ray cluster on loopback for tests: a program that holds it (Ray stays out of the process of the tests), and its
handle.

`python -m tests.generation.fleet.ray_cluster HEAD_CARDS` says its address, then takes lines: `add NAME CARDS`,
`remove NAME`, each answered by `ok`. With stdin it ends, and all it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import psutil

from generation.fleet.address import FleetAddress, parse_address
from tests.patience import PATIENCE_S

TOKEN = "a-token-that-only-tests-have-0123456789"
_ROOT = Path(__file__).resolve().parents[3]
_STORE_BYTES = 90 * 2**20
LEAN = Path(__file__).with_name("lean")
ENVIRONMENT = {
    "PYTHONPATH": str(LEAN),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps everything on loopback
    "RAY_AUTH_MODE": "token",
}


@dataclass
class RayCluster:
    """A cluster that is up. Its processes are found by the folder they work in."""

    process: asyncio.subprocess.Process
    address: FleetAddress
    folder: Path

    @classmethod
    async def start(cls, *, cards: int = 1, port: int = 0) -> Self:
        """Start a head that has so many cards; 0 is a free port."""
        # Short: the paths of Unix sockets are limited.
        folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
        (folder / "ray").mkdir()
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-W",
                "ignore",
                "-m",
                __spec__.name if __spec__ else __name__,
                str(cards),
                str(folder),
                str(port),
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ
            | ENVIRONMENT
            | {
                "RAY_AUTH_TOKEN": TOKEN,
                "RAY_TMPDIR": str(folder),  # else clusters that start at once write one file
                "PYTHONPATH": f"{_ROOT}{os.pathsep}{LEAN}",
            },
        )
        cluster = cls(process, FleetAddress("", 0, TOKEN), folder)
        try:
            assert process.stdout is not None
            while not (line := (await process.stdout.readline()).decode()).startswith("address "):
                assert line, "the cluster did not start"
        except BaseException:
            await cluster.stop()
            raise
        host, port = parse_address(line.split()[1])
        return replace(cluster, address=FleetAddress(host, port, TOKEN))

    async def add(self, name: str, *, cards: int = 1) -> psutil.Process:
        """Add a machine. Return its first process: what runs there is that and its descendants."""
        return psutil.Process(int(await self.tell(f"add {name} {cards}")))

    async def tell(self, words: str) -> str:
        """Have the program do something, wait until it is done, and return its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{words}\n".encode())
        while not (line := (await self.process.stdout.readline()).decode()).startswith("ok"):
            assert line, "the cluster is gone"
        return line.removeprefix("ok").strip()

    def find(self, what: str) -> list[psutil.Process]:
        """Return the processes of the cluster whose command line has that."""
        return [each for each in self._processes() if what in _command(each)]

    async def stop(self) -> None:
        """End everything."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        ending = self._processes()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        for each in ending:
            with contextlib.suppress(psutil.Error):
                each.kill()
        await self.process.wait()
        await asyncio.to_thread(psutil.wait_procs, ending, 10)

    def _processes(self) -> list[psutil.Process]:
        """Return what the program started. Ray's processes are its children, but a raylet's outlive it."""
        try:
            own = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            own = []
        return own + [each for each in psutil.process_iter() if str(self.folder) in _command(each) and each not in own]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _find_raylet(node: Any) -> str:
    return str(node.all_processes["raylet"][0].process.pid) if node is not None else ""


def _wait_patiently_for_nodes() -> None:
    """Have Ray wait for a machine's first process as long as a busy machine takes: 30 s is a constant there."""
    from ray._private import services

    find = services.get_node

    def find_patiently(*arguments: Any) -> Any:
        gives_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                return find(*arguments)
            except RuntimeError:
                if time.monotonic() > gives_up_at:
                    raise
                time.sleep(0.1)

    services.get_node = find_patiently


def main() -> None:
    from ray.cluster_utils import Cluster

    _wait_patiently_for_nodes()
    cards, folder, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    common = {"num_cpus": 0, "object_store_memory": _STORE_BYTES, "include_log_monitor": False}
    cluster = Cluster(
        initialize_head=True,
        head_node_args=common
        | {"num_gpus": cards, "include_dashboard": False, "temp_dir": folder, "node_name": "box"}
        | {"node_ip_address": "127.0.0.1"}
        | ({"gcs_server_port": port} if port else {}),
    )
    print("address", cluster.address, flush=True)  # noqa: T201
    nodes = {"box": cluster.head_node}
    for line in sys.stdin:
        what, name, *more = line.split()
        if what == "add":
            nodes[name] = cluster.add_node(num_gpus=int(more[0]), node_name=name, node_ip_address="127.0.0.1", **common)
        elif what == "remove":
            cluster.remove_node(nodes.pop(name), allow_graceful=False)
        print("ok", _find_raylet(nodes.get(name)), flush=True)  # noqa: T201
    cluster.shutdown()


if __name__ == "__main__":
    main()
