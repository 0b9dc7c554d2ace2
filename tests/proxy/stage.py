"""What stands around the proxy: the container, S3, and SageMaker's control plane."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import uvicorn
from botocore.config import Config
from moto.server import ThreadedMotoServer

from handler.app import create_app
from handler.embedder import Embedder
from handler.sagemaker import add_sagemaker
from handler.settings import Settings
from tools.docker_engine import ROOT

BUCKET = "jobs"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@dataclass(frozen=True)
class Stage:
    """Addresses of the container and of S3 with the control plane, and a client of S3."""

    container: str
    aws: str
    s3: Any


@contextmanager
def stage(embedder: Embedder, settings: Settings) -> Iterator[Stage]:
    """Serve the app as the endpoint's container does, and moto's AWS with one bucket."""
    roomy = settings.model_copy(update={"max_items": 10_000})
    app = create_app(lambda: embedder, roomy, lambda record: None)
    add_sagemaker(app, roomy)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    moto = ThreadedMotoServer("127.0.0.1", 0)
    moto.start()
    host, moto_port = moto.get_host_and_port()
    aws = f"http://{host}:{moto_port}"
    s3 = boto3.client("s3", endpoint_url=aws, **KEYS)
    s3.create_bucket(Bucket=BUCKET)
    try:
        yield Stage(f"http://127.0.0.1:{port}", aws, s3)
    finally:
        # Its buckets belong to the process, not to the server.
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for stored in page.get("Contents", []):
                s3.delete_object(Bucket=BUCKET, Key=stored["Key"])
        s3.delete_bucket(Bucket=BUCKET)
        moto.stop()
        server.should_exit = True
        thread.join()


def runtime(url: str, read_timeout: float = 20) -> Any:
    """Return boto3's client of the runtime API at an address."""
    config = Config(read_timeout=read_timeout, retries={"total_max_attempts": 1})
    return boto3.client("sagemaker-runtime", endpoint_url=url, config=config, **KEYS)


def environment(runtime_url: str, aws: str) -> dict[str, str]:
    """Return what the function finds beside its own variables."""
    return {
        "PYTHONPATH": str(ROOT / "infra" / "sagemaker_proxy"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": aws,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime_url,
    }
