"""The real SAM CLI as a subprocess, and its translator run by its own Python."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TRANSLATE = ROOT / "tests" / "template" / "translate.py"
ENVIRON = {
    "SAM_CLI_TELEMETRY": "0",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}

Template = dict[str, Any]
Values = dict[str, str]


def sam() -> Path:
    """Return the SAM CLI: SAM_CLI, then the PATH, then the one `make test` installs."""
    named = os.environ.get("SAM_CLI") or shutil.which("sam")
    found = Path(named) if named else ROOT / ".venvs" / "sam" / "bin" / "sam"
    if not found.exists():
        pytest.fail(
            f"the SAM CLI is neither named by SAM_CLI nor on the PATH nor at {found}; "
            "`make test` installs it"
        )
    return found


def sam_python() -> Path:
    """Return the interpreter the SAM CLI runs in."""
    found = sam().resolve().parent / "python"
    if not found.exists():
        pytest.fail(
            f"{found} is missing: the tests need a SAM CLI installed in a virtual environment"
        )
    return found


def validate(template: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sam validate --lint`."""
    return subprocess.run(
        [sam(), "validate", "--lint", "--template-file", template, *arguments],
        env=os.environ | ENVIRON,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def translate(template: Path, combinations: list[Values]) -> tuple[Template, list[Template]]:
    """Return the template as it is written, and what SAM makes of it with each set of values."""
    result = subprocess.run(
        [sam_python(), TRANSLATE, template, json.dumps(combinations)],
        env=os.environ | ENVIRON,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if result.returncode:
        pytest.fail(f"SAM does not translate {template.name}: {result.stderr[-2000:]}")
    source, translated = json.loads(result.stdout)
    return source, translated
