"""The container, SageMaker's runtime in front of it, its control plane and S3."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from moto.server import ThreadedMotoServer
from sagemaker_peer import Peer, sagemaker

from handler.app import create_app
from handler.embedder import Embedder
from handler.forwarded import ForwardedPaths
from handler.settings import Settings

BUCKET = "jobs"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
Client = Callable[..., Any]


@pytest.fixture(scope="package")
def container(embedder: Embedder, settings: Settings) -> Iterator[str]:
    """The app in a real server, as the endpoint's container runs it."""
    roomy = settings.model_copy(update={"max_items": 10_000})
    app = ForwardedPaths(create_app(lambda: embedder, roomy, lambda record: None))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="package")
def aws() -> Iterator[str]:
    """S3 and SageMaker's control plane."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="package")
def s3(aws: str) -> Any:
    client = boto3.client("s3", endpoint_url=aws, **KEYS)
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def peer(container: str, s3: Any) -> Iterator[Peer]:
    with sagemaker(container, s3, BUCKET) as found:
        yield found


@pytest.fixture
def runtime(peer: Peer) -> Client:
    """Make clients of the runtime API that wait `read_timeout` seconds."""

    def client(read_timeout: float = 20) -> Any:
        config = Config(read_timeout=read_timeout, retries={"total_max_attempts": 1})
        return boto3.client("sagemaker-runtime", endpoint_url=peer.url, config=config, **KEYS)

    return client
