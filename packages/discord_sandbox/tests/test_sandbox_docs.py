"""The example in the documentation, run as it is written there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
MY_BOT = """
import sys
sys.path.insert(0, {here!r})
from sample_bot import SampleBot as build_bot
"""


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    chapter = page.partition("## As a test fixture")[2]
    (example,) = re.findall(r"```python\n(.*?)```", chapter.partition("\n## ")[0], re.DOTALL)
    (tmp_path / "test_example.py").write_text(example, encoding="utf-8")
    (tmp_path / "my_bot.py").write_text(MY_BOT.format(here=str(HERE)), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={tmp_path}"]
    done = subprocess.run([*command, "test_example.py"], cwd=tmp_path, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
