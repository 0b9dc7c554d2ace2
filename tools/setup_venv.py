"""Make a virtual environment with this project in it: what `make run` and `make test` begin with.

Standard library only, since it runs before anything is installed. The stamp file is written last,
so that an interrupted set-up is done again.
"""

import argparse
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Set one environment up, or say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extras", default="", help="extras of pyproject.toml, comma-separated")
    parser.add_argument("--groups", default="", help="dependency groups, comma-separated")
    parser.add_argument("--only", default="", help="install these packages instead of the project")
    parser.add_argument("--stamp", type=Path, required=True)
    arguments = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036  this file is what tells it
        sys.exit(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; "
            "name another with: make PYTHON=python3.12 …"
        )
    folder: Path = arguments.folder
    python = folder / "bin" / "python"
    if not python.exists():
        create(folder)
    run(python, "--upgrade", "pip>=25.1")
    if arguments.only:
        run(python, *arguments.only.split(","))
    else:
        install(python, arguments.extras, [g for g in arguments.groups.split(",") if g])
    arguments.stamp.write_text("")


def create(folder: Path) -> None:
    """Make an empty environment with pip."""
    print(f"creating {folder}", flush=True)
    try:
        venv.create(folder, with_pip=True)
    except (subprocess.CalledProcessError, ImportError):
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit("this Python has no working venv module; on Debian: apt-get install python3-venv")


def install(python: Path, extras: str, groups: list[str]) -> None:
    """Install the project, editable, at the tested versions of constraints.txt."""
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    index = os.environ.get("TORCH_INDEX_URL")
    if index and "bake" in extras:  # for instance the CPU builds, on machines without a GPU
        run(python, "--index-url", index, *constraints, "torch", "torchvision")
    target = f"{ROOT}[{extras}]" if extras else str(ROOT)
    wanted = [
        option for group in groups for option in ("--group", f"{ROOT}/pyproject.toml:{group}")
    ]
    run(python, *constraints, "--editable", target, *wanted)


def run(python: Path, *arguments: str) -> None:
    """Run pip quietly; its own message and status are passed on when it fails."""
    command = [str(python), "-m", "pip", "install", "--quiet", *arguments]
    print("installing", " ".join(a for a in arguments if not a.startswith("-")), flush=True)
    result = subprocess.run(command, check=False)
    if result.returncode:
        sys.exit(f"pip failed; the command was: {' '.join(command)}")


if __name__ == "__main__":
    main()
