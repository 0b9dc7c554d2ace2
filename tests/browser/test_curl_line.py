"""The curl line shown is run as it stands, and its answer is the page's."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Page
from serving import vectors

AWKWARD = ['it\'s 100 % "so" $HOME `id` \\n \\ !', "ein Würfel 🟥", "%s %d"]


@pytest.mark.parametrize("put_in", ["texts", "pictures", "both"])
def test_the_curl_line_does_the_same(
    page: Page, service: str, drawings: dict[str, Path], tmp_path: Path, put_in: str
) -> None:
    named = [tmp_path / "a 'red' circle.png", tmp_path / "-%s.png"]
    for path, name in zip(named, ("red circle", "blue square"), strict=True):
        shutil.copy(drawings[name], path)
    page.open(service)
    texts = AWKWARD if put_in != "pictures" else []
    paths = named if put_in != "texts" else []
    if paths:
        page.pick(*paths)
    # Keys of a keyboard cannot reach every character: set it, as an input method does.
    page.script(
        "const area = document.querySelector('#texts'); area.value = arguments[0];"
        "area.dispatchEvent(new Event('input'))",
        "\n".join(texts),
    )
    page.compare()
    page.answered()
    assert np.allclose(run(page, tmp_path), vectors(service, texts, paths), atol=1e-6)


def test_the_curl_line_of_the_examples_needs_no_files(
    page: Page, service: str, tmp_path: Path
) -> None:
    page.open(service)
    page.find("#examples").click()
    page.answered()
    assert len(run(page, tmp_path)) == len(page.all("#vectors li")) == 11


def run(page: Page, folder: Path) -> Any:
    """Run the curl line in a shell and return the vectors it prints."""
    command = page.find("#curl").get_property("textContent")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", str(command)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return np.array(json.loads(done.stdout)["embeddings"])
