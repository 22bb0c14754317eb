"""`fleet head`, `join`, `status` and `drain`, as far as they go without Ray: what would run, and what is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from cli import fleet
from cli.fleet_settings import read_fleet_address
from cli.fleet_start import end_driver, start_driver
from cli.fleet_table import describe
from config import Settings
from generation.errors import ConfigurationError
from generation.fleet.address import FleetAddressError
from generation.fleet.messages import FleetReport, MemberFacts, Version
from tests.cli.shell import run

OURS = Version("1.0", "aaaa")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a machine that only has private addresses."""
    monkeypatch.setattr(fleet, "_own_addresses", lambda: iter(("127.0.0.1", "10.8.0.1", "fe80::1")))
    monkeypatch.setattr(fleet, "find_card", lambda: "")
    monkeypatch.setattr(fleet, "require_ray", lambda: None)
    return Settings(data_dir=tmp_path / "data")


def test_a_head_makes_a_private_token_once_and_says_what_to_type(settings: Settings) -> None:
    start = fleet.prepare_head(settings, "10.8.0.1", is_firewalled=False)
    file = settings.data_dir / "fleet-token"
    token = fleet.read_token(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert fleet.prepare_head(settings, "10.8.0.1:7000", is_firewalled=False) and fleet.read_token(file) == token
    assert {"--head", "--node-ip-address=10.8.0.1", "--port=6379", "--include-dashboard=false"} <= set(start.words)
    assert (start.environment["RAY_AUTH_MODE"], start.environment["RAY_AUTH_TOKEN_PATH"]) == ("token", str(file))
    said = "\n".join(start.says)
    assert "fleet join 10.8.0.1:6379 --token-file" in said and "ATELIER_FLEET=10.8.0.1:6379" in said
    assert token not in "\n".join((said, *start.words, *start.environment.values()))


def test_a_machine_joins_with_its_own_models_and_address(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_text("k" * 64 + "\n")
    start = fleet.prepare_join(settings, "10.8.0.9", file, on="10.8.0.1", is_firewalled=False)
    assert {"--address=10.8.0.9:6379", "--node-ip-address=10.8.0.1", "--num-gpus=0"} <= set(start.words)
    assert start.environment["ATELIER_MODELS_DIR"] == str(settings.folder_of_models)
    assert '--resources={"atelier_cpu": 1}' in start.words, "without a card it offers its processor"


def test_a_machine_with_a_card_leaves_counting_to_ray(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "find_card", lambda: "NVIDIA")
    file = tmp_path / "t"
    file.write_text("k" * 64)
    start = fleet.prepare_join(settings, "10.8.0.9", file, on="10.8.0.1", is_firewalled=False)
    assert not [word for word in start.words if word.startswith(("--num-gpus", "--resources"))]


def test_the_bots_machine_joins_a_head_elsewhere_with_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "find_card", lambda: "NVIDIA")
    file = tmp_path / "t"
    file.write_text("k" * 64)
    start = fleet.prepare_join(settings, "head", file, on="10.8.0.1", is_firewalled=False, has_cards=False)
    assert {"--num-gpus=0", "--num-cpus=0"} <= set(start.words) and "--resources" not in " ".join(start.words)


@pytest.mark.parametrize("address", ["8.8.8.8", "0.0.0.0", "2606:4700::1"])
def test_a_fleet_never_begins_at_a_public_address(settings: Settings, address: str) -> None:
    with pytest.raises(FleetAddressError, match="not a private address"):
        fleet.prepare_head(settings, address, is_firewalled=True)


def test_a_machine_with_a_public_address_is_refused_until_a_firewall_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray listens on all addresses, whatever it is told."""
    monkeypatch.setattr(fleet, "_own_addresses", lambda: iter(("10.8.0.1", "8.8.8.8")))
    with pytest.raises(FleetAddressError, match=r"public address 8\.8\.8\.8.*--behind-firewall"):
        fleet.prepare_head(settings, "10.8.0.1", is_firewalled=False)
    assert not settings.data_dir.exists()
    assert fleet.prepare_head(settings, "10.8.0.1", is_firewalled=True)


@pytest.mark.parametrize(
    ("address", "said"),
    [("10.8.0.7", r"no address of this machine\. It has 10\.8\.0\.1, 127\.0\.0\.1"), ("desk", "no address of this")],
)
def test_another_machines_address_is_refused(settings: Settings, address: str, said: str) -> None:
    with pytest.raises(FleetAddressError, match=said):
        fleet.prepare_head(settings, address, is_firewalled=False)


@pytest.mark.parametrize("content", ["", "short", "two words " * 9, None])
def test_what_is_no_token_is_refused(settings: Settings, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "t"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError) as refused:
        fleet.prepare_join(settings, "10.8.0.9", file, on="10.8.0.1", is_firewalled=False)
    assert str(file) in str(refused.value)


def test_settings_without_a_token_or_with_a_public_head_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no token for it"):
        read_fleet_address(Settings(data_dir=tmp_path, fleet="10.8.0.1"))
    done = run("fleet", "status", data_dir=tmp_path, ATELIER_FLEET="8.8.8.8")
    assert done.returncode == 2 and "ATELIER_FLEET cannot be used: 8.8.8.8 is not a private address" in done.stderr


async def test_without_a_fleet_no_driver_is_started(tmp_path: Path) -> None:
    for settings in (Settings(data_dir=tmp_path), Settings(data_dir=tmp_path, fleet="10.8.0.1")):
        assert await start_driver(settings) is None
    await end_driver(None)


@pytest.mark.long
def test_a_bot_that_may_not_start_leaves_no_driver(tmp_path: Path) -> None:
    head = "127.0.0.1:9"
    done = run("serve", data_dir=tmp_path, ATELIER_FLEET=head, ATELIER_FLEET_TOKEN="k" * 64)
    assert done.returncode == 2 and "There is no Discord token" in done.stderr
    drivers = [
        each.info["cmdline"] for each in psutil.process_iter(["cmdline"]) if head in (each.info["cmdline"] or ())
    ]
    assert not drivers


def test_the_token_is_kept_out_of_logs(tmp_path: Path) -> None:
    given = Settings(data_dir=tmp_path, fleet="10.8.0.1", fleet_token="k" * 64)
    assert "k" * 64 in given.secrets and "k" * 64 not in repr(given)


def test_the_table_says_what_differs_and_what_a_machine_lacks() -> None:
    plain = MemberFacts(device="card 0", libraries={"torch": "2.13"}, num_slots=4, fingerprint="f1", version=OURS)
    members = {
        "den-0": replace(plain, machine="den", models={"sdxl": "ab" * 32}, clock_s=0.1),
        "attic-0": replace(
            plain, machine="attic", version=Version("0.9", "bbbb"), missing={"flux": "It was not added."}, clock_s=-90
        ),
        "desk-0": MemberFacts(machine="desk", version=OURS, is_draining=True),
    }
    status = describe(FleetReport(members=members, unused=("loft-0",), refused={"barn-0": "It does not answer."}), OURS)
    table = dict(line.split(maxsplit=1) for line in status.lines[:6])
    assert list(table) == ["member", "attic-0", "den-0", "desk-0", "barn-0", "loft-0"]
    assert "sdxl abababab" in table["den-0"] and table["den-0"].endswith("up, 4 slots")
    assert "A f1" in table["den-0"] and "A f1" in table["attic-0"]
    assert table["desk-0"].endswith("drained") and table["loft-0"].endswith("no bot has it")
    said = "\n".join(status.concerns)
    assert "attic-0 runs Atelier 0.9 (code bbbb) and the bot 1.0 (code aaaa)" in said
    assert "attic-0 cannot paint with flux: It was not added." in said and "-90 s: set it" in said
    assert "barn-0: It does not answer." in said and "loft-0" not in said


def test_the_table_says_why_two_members_do_not_paint_the_same_bytes() -> None:
    plain = MemberFacts(version=OURS, num_slots=4)
    members = {
        "attic-0": replace(plain, fingerprint="11", painted_by={"torch": "2.13", "threads": "4"}),
        "den-0": replace(plain, fingerprint="22", painted_by={"torch": "2.12", "threads": "4", "gpu": "RTX 4090"}),
        "loft-0": replace(plain, fingerprint="11", painted_by={"torch": "2.13", "threads": "4"}),
        "shed-0": plain,
    }
    status = describe(FleetReport(members=members), OURS)
    assert status.lines[-1] == "Fingerprint B is not A: gpu RTX 4090, not none, torch 2.12, not 2.13."
    assert not status.concerns, "members may differ"
    del members["den-0"]
    assert "Fingerprint" not in "".join(describe(FleetReport(members=members), OURS).lines)


def test_an_empty_fleet_says_how_to_join() -> None:
    assert describe(FleetReport(members={}), OURS).concerns == ("No machine has joined: run `fleet join` on one.",)
