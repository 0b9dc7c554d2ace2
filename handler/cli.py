"""The console script: `openclip bake | serve | verify | info`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from handler.bundle import open_bundle
from handler.errors import SetupError
from handler.settings import DEFAULT_MODEL, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@contextmanager
def exit_on_setup_error() -> Iterator[None]:
    """Print a SetupError as the one sentence it is and exit with 1."""
    try:
        yield
    except SetupError as error:
        typer.secho(f"openclip: {error}", fg="red", err=True)
        sys.exit(1)


@app.command("bake")
def bake_command(
    out: Annotated[Path, typer.Option(help="folder the bundle is written to")],
    model: Annotated[
        str, typer.Option(help="architecture, hf-hub:org/repo or local-dir:path")
    ] = DEFAULT_MODEL[0],
    pretrained: Annotated[str, typer.Option(help="pretrained tag or checkpoint file")] = "",
    model_id: Annotated[str, typer.Option(help="MODEL_ID in responses")] = "",
    revision: Annotated[str, typer.Option(help="hub commit, tag or branch to pin")] = "",
    engine: Annotated[str, typer.Option(help="openvino or torch")] = "openvino",
) -> None:
    """Turn a checkpoint into a bundle and prove it equal to open_clip."""
    from handler.bake import BakeRequest, bake

    kind: Literal["openvino", "torch"]
    if engine == "openvino":
        kind = "openvino"
    elif engine == "torch":
        kind = "torch"
    else:
        raise SetupError(f"--engine {engine}: choose openvino or torch")
    environ = {
        "MODEL_NAME": model,
        "MODEL_PRETRAINED": pretrained,
        "MODEL_ID": model_id,
    }
    name, tag, identifier = load_settings(environ).identity()
    bake(
        BakeRequest(
            model=name,
            pretrained=tag,
            model_id=identifier,
            revision=revision or None,
            engine=kind,
            out=out,
        )
    )


@app.command()
def serve() -> None:
    """Serve /embeddings over HTTP; the environment configures it (docs/configuration.md)."""
    from handler.server import serve as run

    run(load_settings())


@app.command()
def verify(bundle: Annotated[Path, typer.Argument(help="a baked folder")]) -> None:
    """Compare every file of a bundle with its checksum."""
    found = open_bundle(bundle)
    found.verify()
    typer.echo(f"{bundle}: {len(found.manifest.files)} files as baked")


@app.command()
def info(bundle: Annotated[Path, typer.Argument(help="a baked folder")]) -> None:
    """Print a bundle's manifest."""
    typer.echo(open_bundle(bundle).manifest.model_dump_json(indent=2, exclude={"files", "sizes"}))


def main() -> None:
    """Run the command line."""
    with exit_on_setup_error():
        app()


if __name__ == "__main__":
    main()
