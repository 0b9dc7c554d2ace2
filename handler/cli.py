"""The console script: `openclip bake | serve | verify | info | transform`."""

import json
import sys
import time
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


@app.command("transform")
def transform_command(
    model: Annotated[str, typer.Option(help="name of the SageMaker model")],
    source: Annotated[str, typer.Option("--input", help="s3:// object or prefix of JSON lines")],
    target: Annotated[str, typer.Option("--output", help="s3:// prefix for the vectors")],
    name: Annotated[str, typer.Option(help="name of the job; made of the time if left out")] = "",
    instance_type: Annotated[str, typer.Option(help="machine")] = "ml.g5.xlarge",
    instances: Annotated[int, typer.Option(min=1, help="machines; one object is one's")] = 1,
    payload_mb: Annotated[int, typer.Option(help="most that is sent at once, MB")] = 6,
    many_lines: Annotated[
        bool, typer.Option("--many-lines", help="as many as fit: pictures")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=0, help="0: as the container says")] = 0,
    kms_key: Annotated[str, typer.Option(help="key that encrypts the vectors")] = "",
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the container")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="KEY=VALUE of the job")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="until the job has ended")] = False,
    poll: Annotated[float, typer.Option(min=0.01, help="seconds between two looks")] = 10,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the call, make none")] = False,
) -> None:
    """Turn JSON lines in S3 into vectors with a SageMaker batch transform job."""
    from handler import transform

    call = transform.Transform(
        name=name or time.strftime("openclip-%Y%m%d-%H%M%S", time.gmtime()),
        model=model,
        source=source,
        target=target,
        instance_type=instance_type,
        instances=instances,
        payload_mb=payload_mb,
        concurrency=concurrency,
        many_lines=many_lines,
        kms_key=kms_key,
        environment=_pairs("--env", env or []),
        tags=_pairs("--tag", tag or []),
    ).call()
    if dry_run:
        typer.echo(
            "boto3.client('sagemaker').create_transform_job(**" + json.dumps(call, indent=2) + ")"
        )
        return
    sagemaker = transform.client()
    typer.echo(transform.start(sagemaker, call))
    if not wait:
        return
    from rich.console import Console

    console = Console(stderr=True)
    started = time.monotonic()
    with console.status("starting") as shown:

        def tell(status: str) -> None:
            shown.update(f"{status}, {time.monotonic() - started:.0f} s")

        transform.wait(sagemaker, call["TransformJobName"], tell, poll)
    console.print(f"Completed in {time.monotonic() - started:.0f} s")


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise SetupError(f"{option} {wrong[0]}: write NAME=VALUE")
    return {name: value for name, _, value in pairs}


def main() -> None:
    """Run the command line."""
    with exit_on_setup_error():
        app()


if __name__ == "__main__":
    main()
