"""`bench side_by_side`, small: the work, the figures, and the programs that take turns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

import pytest

from bench import side_by_side
from bench._script import serve
from bench._side_programs import PROGRAMS
from bench._side_work import Plan, Request, Served, compare, merge, summarize

PLAN = Plan(crowd=4, servers=2, flood=6, steps=(4, 8), side_px=64)


def test_the_lone_member_asks_last_and_is_of_another_server_than_the_flood() -> None:
    *flood, lone = PLAN.make_flood()
    assert {each.server for each in flood} == {0} and lone.server == 1
    assert max(each.member for each in [*flood, lone, *PLAN.make_crowd()]) < PLAN.members
    assert {(each.server, each.member) for each in PLAN.make_crowd()} == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize(("batch", "calls"), [(1, [[0], [1], [2], [3]]), (8, [[0, 2], [1, 3]])])
def test_equal_requests_go_together_where_they_may_and_the_oldest_first(batch: int, calls: list[list[int]]) -> None:
    seen: list[list[int]] = []

    def paint(requests: Sequence[Request]) -> None:
        seen.append([each.seed for each in requests])

    waits_s = serve(paint, PLAN.make_crowd(), batch=batch)
    assert seen == calls
    assert [waits_s[number] for call in calls for number in call] == sorted(waits_s)


def test_a_ratio_above_one_means_that_atelier_is_better() -> None:
    ours = summarize(Served([1.0, 2.0], [10.0, 20.0]), Served([4.0, 1.0], [10.0, 10.0]), cpu_s=2.0)
    theirs = summarize(Served([0.5, 4.0]), Served([4.0, 5.0]), cpu_s=1.0)
    assert ours == {
        "pictures_per_s": 1.0,
        "first_s": 1.0,
        "p95_s": 2.0,
        "lone_s": 1.0,
        "cpu_s": 0.5,
        "ack_p95_ms": 20.0,
    }
    assert compare(ours, theirs) == {"pictures_per_s": 2.0, "first_s": 0.5, "p95_s": 2.0, "lone_s": 5.0, "cpu_s": 0.5}
    assert merge([{"a": 1.0}, {"a": 9.0}, {"a": 2.0}]) == {"a": 2.0}


async def test_what_is_not_installed_has_a_row_that_says_how_to() -> None:
    absent = replace(PROGRAMS["genai"], needs="no_such_module_for_openvino")
    figures = await side_by_side.measure({"genai": absent}, PLAN, 1)
    assert figures["programs"] == {}
    assert "not installed: pip install openvino-genai" in "\n".join(side_by_side.format_table(figures))


@pytest.mark.long
def test_a_plain_bot_serves_the_work_and_its_row_and_versions_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert side_by_side.main(["--quick", "--programs", "fifo"]) == 0
    table, line = capsys.readouterr().out.rsplit("\n", 2)[:2]
    found = json.loads(line)["programs"]["fifo"]
    assert min(found[name] for name in ("pictures_per_s", "first_s", "lone_s", "cpu_s", "ack_p95_ms")) > 0
    assert found["first_s"] <= found["p95_s"]
    assert "a plain FIFO bot" in table and "diffusers " in table


@pytest.mark.long
def test_all_programs_are_compared_with_atelier(capsys: pytest.CaptureFixture[str]) -> None:
    assert side_by_side.main(["--quick", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {*figures["programs"], *figures["missing"]} == {*PROGRAMS}
    assert ("genai" in figures["missing"]) == (find_spec("openvino_genai") is None)
    for peers in figures["ratios"].values():
        assert {"script", "batched", "fifo"} <= {*peers}
        assert all(ratio > 0 for ratios in peers.values() for ratio in ratios.values())
    assert "ack_p95_ms" in figures["ratios"]["atelier"]["fifo"]


def test_fewer_than_two_servers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        side_by_side.main(["--servers", "1"])
    assert "--servers must be 2 at least" in capsys.readouterr().err
