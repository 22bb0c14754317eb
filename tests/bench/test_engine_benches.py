"""The programs that measure the engine, at small size: that they run, and that their output can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import backends, card, exact, graphs, memory, throughput
from bench._weights import FAMILIES
from tests.generation.engine.processor_graph import ProcessorGraph, allow_graphs

# Diffusers builds numpy arrays from tensors in a way numpy means to change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return report


@pytest.mark.parametrize(
    ("family", "more", "interleavings"),
    [
        ("sdxl", [], 2),  # on processors without AVX-512 pictures with LoRA differ less often without their trace
        *(
            pytest.param(each, more, 15, marks=pytest.mark.long)
            for each in FAMILIES
            for more in ([], ["--loras"])
            if more or each != "sdxl"
        ),
    ],
)
def test_exact_counts_no_difference_and_its_control_counts_some(
    capsys: pytest.CaptureFixture[str], family: str, more: list[str], interleavings: int
) -> None:
    words = ["--json", "--family", family, "--interleavings", str(interleavings), "--threads", "1"]
    assert exact.main([*words, "--dtype", "float32", "bfloat16", *more]) == 0
    report = printed(capsys)
    assert report["images"] >= 2 * 5
    assert report["differing"] == 0
    assert report["control_differing"] > 0
    assert report["dtype"] == "float32, bfloat16"
    assert report["by_dtype"]["bfloat16"]["images"] == report["images"] / 2


@pytest.mark.long
@pytest.mark.parametrize("family", ["sdxl", "sd"])
def test_exact_counts_no_difference_among_pictures_that_follow_others(
    capsys: pytest.CaptureFixture[str], family: str
) -> None:
    words = ["--json", "--control", "--family", family, "--interleavings", "3", "--threads", "1", "--dtype", "float32"]
    assert exact.main(words) == 0
    report = printed(capsys)
    assert (report["differing"], report["control_images"]) == (0, report["images"])
    assert report["images"] > report["following"] > 0 and report["control_differing"] > 0


def test_exact_counts_no_difference_among_edits_and_a_key_that_forgets_them_differs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "--json --references --family klein --interleavings 1 --threads 1 --dtype float32"
    assert exact.main(words.split()) == 0
    report = printed(capsys)
    assert report["images"] > report["editing"] > 0 and report["differing"] == 0
    assert report["forgetful_differing"] + report["forgetful_broken"] > 0
    with pytest.raises(SystemExit):
        exact.main(["--references", "--family", "sdxl"])


@pytest.mark.long
@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_exact_counts_no_difference_among_pictures_that_look_at_others(
    capsys: pytest.CaptureFixture[str], family: str
) -> None:
    words = ["--json", "--ip-adapter", "--family", family, "--interleavings", "3", "--threads", "1"]
    assert exact.main([*words, "--dtype", "float32"]) == 0
    report = printed(capsys)
    assert (report["differing"], report["control_images"]) == (0, report["images"])
    assert report["images"] > report["looking"] > 0 and report["following"] and report["control_differing"] > 0


def test_exact_follows_nothing_with_families_that_have_no_controlnets(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        exact.main(["--control", "--family", "klein"])
    assert "other families have no ControlNets" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        exact.main(["--ip-adapter", "--family", "klein"])
    assert "other families have no IP-Adapters" in capsys.readouterr().err


def test_throughput_says_every_ratio_and_where_the_time_went(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--json --shape toy --side 64 --users 2 --requests 1 --rounds 1 --threads 1 --max-rows 4 --profile"
    assert throughput.main([*words.split(), "--dtype", "float32"]) == 0
    report = printed(capsys)
    wanted = ("ratio_serial", "ratio_batched", "ratio_possible", "images_per_s", "p95_s", "p95_s_serial", "padding")
    assert all(report[name] >= 0 for name in wanted)
    assert 0 < report["share_of_peak_forwards"] < report["share_of_peak"] < 1 and 0 < report["busy"] < 1.5
    assert sum(report["profile"].values()) == pytest.approx(1, abs=0.01)
    assert report["profile"]["forward"] > 0.1


def test_memory_is_measured_in_a_mode(capsys: pytest.CaptureFixture[str]) -> None:
    assert memory.main(["--mode", "sliced", "--together", "1", "--side", "64", "--dtype", "float32"]) == 0
    report = printed(capsys)
    assert (report["mode"], report["together"], report["side_px"]) == ("sliced", 1, 64)
    assert report["peak_mb"] > report["weights_mb"] > 0


def test_backends_compares_forwards_and_decodes(capsys: pytest.CaptureFixture[str]) -> None:
    asked = "--json --shape toy --side 64 --rows 1 2 --threads 1 --rounds 2 --backends torch torch packed"
    assert backends.main(asked.split()) == 0
    report = printed(capsys)
    assert [(each["rows"], each["threads"]) for each in report["work"]] == [(1, 1), (2, 1), (0, 1)]
    assert all(each["torch_ms"] > 0 and each["packed_ms"] > 0 and each["ratio"] > 0 for each in report["work"])
    assert all(each["distance"] < 1e-4 for each in report["work"])
    assert backends.main(["--dtype", "float16", "--backends", "torch", "openvino"]) == 2
    assert "OpenVINO is for processors" in capsys.readouterr().err


def test_graphs_compares_forwards_and_pictures_with_those_without(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "--json --shape toy --side 64 --rows 1 2 --together 2 --steps 2 --rounds 1 --dtype float32"
    words = asked.split()
    assert graphs.main(words) == 2, "on a processor"
    assert "CUDA graphs are for NVIDIA cards" in capsys.readouterr().err
    allow_graphs(monkeypatch)
    assert graphs.main(words) == 0
    report = printed(capsys)
    assert [(row["rows"], row["is_equal"]) for row in report["forwards"]] == [(1, True), (2, True)]
    assert (report["images"], report["differing"]) == (2, 0) and report["ratio"] > 0
    replay = ProcessorGraph.replay
    monkeypatch.setattr(ProcessorGraph, "replay", lambda graph: (replay(graph), graph.output.add_(0.1)))
    assert graphs.main(words) == 1, "the control: a graph with other bits"
    assert printed(capsys)["differing"] == 2


def test_the_card_fills_the_table_of_the_page() -> None:
    speed = {"images_per_s": 1.5, "ratio_serial": 3, "ratio_batched": 1.25, "share_of_peak": 0.5, "padding": 0.041}
    forward = {"rows": 2, "plain_ms": 20, "graph_ms": 16, "ratio": 1.25, "is_equal": True}
    pictures = {"images": 8, "differing": 0, "plain_s": 4, "graph_s": 3, "ratio": 1.333, "forwards": [forward]}
    shape = speed | {"p95_s": 2, "peak_mb": {"full": 4000}, "graphs": pictures}
    found = {"toy": shape, "device": "a card", "dtype": "bfloat16"}
    exact = {"images": 10, "differing": 0, "control_differing": 3}
    text = card.table((card.TOY,), found | {"torch": "2", "exact": exact})
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    filled = card.replaced(page, text)
    assert "| 1.50 | 3.00 | 1.25 | 50% | 4.1% | 2.0 s | full 4,000 MB |" in filled
    assert "10 pictures, 0 differ; 3 in the control" in filled
    assert "| a toy, 64 px, a forward of 2 rows | 20.0 ms | 16.0 ms | 1.25 | no |" in filled
    assert "| a toy, 64 px, pictures at once: 8 | 4.00 s | 3.00 s | 1.33 | 0 |" in filled
    assert card.replaced(filled, text) == filled
    assert filled.startswith(page.partition(card.BEGIN)[0])
    with pytest.raises(SystemExit, match="no <!-- bench card"):
        card.replaced("a page", text)
