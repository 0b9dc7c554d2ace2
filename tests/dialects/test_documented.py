"""The snippets of docs/dialects.md run, each in a process of its own, against a real server."""

import os
import re
import subprocess
import sys

import pytest

from tools.docker_engine import ROOT

PAGE = (ROOT / "docs" / "dialects.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
WRITTEN = [
    r"OpenCLIP-shapes-tiny 2 64 8\n",
    r"(1|2) \[-?\d.*\]\n" * 4,
    r"64\n",
    r"\[-?0\.\d+, -?0\.\d+\] \[-?\d+, -?\d+\]\n1\n",
    r"\(2, 64\)\n",
    r"1 \[\]\n",
    r"16 4 None\n",
]


@pytest.mark.parametrize("index", range(len(WRITTEN)))
def test_snippet(url: str, index: int) -> None:
    assert len(SNIPPETS) == len(WRITTEN)
    code = SNIPPETS[index]
    assert "http://localhost:7860" in code
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    found = subprocess.run(
        [sys.executable, "-c", code.replace("http://localhost:7860", url)],
        cwd=ROOT / "docs",
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    assert re.fullmatch(WRITTEN[index], found.stdout), found.stdout
