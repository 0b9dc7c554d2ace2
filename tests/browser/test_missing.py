"""Without Chromium the tests of the page fail, and say how to install it."""

import subprocess
import sys
from pathlib import Path

from tools.docker_engine import ROOT


def test_says_how_to_install_it(tmp_path: Path) -> None:
    script = "from tools.browser import chromium\nwith chromium():\n    pass"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("apt-get install chromium chromium-driver\n")
