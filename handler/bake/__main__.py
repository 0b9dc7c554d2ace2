"""`python -m handler.bake`: the same command as `openclip bake`."""

import typer

from handler.cli import bake_command, exit_on_setup_error

if __name__ == "__main__":
    with exit_on_setup_error():
        typer.run(bake_command)
