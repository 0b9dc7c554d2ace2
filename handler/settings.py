"""Every environment variable, its default and its meaning; the one reader of the environment.

pydantic-settings would do the same, but costs about 110 ms of a one-second cold start before
the model can begin to load; plain pydantic is needed by FastAPI in any case.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from handler.errors import SetupError

DEFAULT_MODEL = ("ViT-B-32", "laion2b_s34b_b79k", "OpenCLIP-ViT-B-32-laion2B")
SHIPPED_MODEL = "shapes-tiny"

LAMBDA_MAX_BODY = 6_000_000
"""Bytes. Lambda refuses a request or response over 6,291,556 bytes with an opaque error, so we
answer first, leaving room for headers and the event around the body."""

SAGEMAKER_MAX_BODY: Final = 100 * 2**20
"""Bytes: the largest MaxPayloadInMB of a Batch Transform job."""


class Settings(BaseModel):
    """The configuration of one process. Field NAME is read from environment variable NAME."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_name: str = Field(
        DEFAULT_MODEL[0],
        min_length=1,
        description="open_clip architecture, `hf-hub:org/repo`, `local-dir:path`, or the shipped "
        "`shapes-tiny`",
    )
    model_pretrained: str = Field(
        "", description="pretrained tag or checkpoint file; laion2b_s34b_b79k for ViT-B-32"
    )
    model_id: str = Field(
        "", description="name in responses; OpenCLIP-ViT-B-32-laion2B for the default model"
    )
    model_revision: str = Field("", description="hub revision to pin (commit, tag or branch)")
    bundle_dir: Path | None = Field(None, description="use this bundle, whatever MODEL_NAME says")
    model_dir: Path | None = Field(
        None,
        description="folder a platform mounts, SageMaker's /opt/ml/model: a bundle, or an "
        "open_clip checkpoint to bake at the start; BUNDLE_DIR where it is missing or empty",
    )
    openclip_cache: Path = Field(
        Path("~/.cache/openclip-serverless"), description="where bundles baked on demand are kept"
    )
    engine: Literal["openvino", "torch"] = Field("openvino", description="what runs the model")
    device: Literal["cpu", "cuda"] = Field("cpu", description="cuda needs ENGINE=torch")
    precision: Literal["f32", "bf16", "f16"] = Field(
        "f32", description="arithmetic; part of the space id. f16 needs DEVICE=cuda"
    )
    cuda_graphs: bool = Field(
        False, description="record the towers for every batch size: faster small batches; untried"
    )
    towers: Literal["both", "text", "image"] = Field(
        "both", description="load one tower only: less memory, faster cold start"
    )
    threads: int = Field(0, ge=0, le=1024, description="engine threads; 0: the CPUs available")
    decode: Literal["exact", "fast"] = Field(
        "exact", description="default for requests; fast: DCT-scaled JPEG decode, another space id"
    )
    orient: Literal["reference", "exif"] = Field(
        "reference", description="default for requests; exif: rotate first, another space id"
    )
    max_body_bytes: int = Field(25_000_000, ge=1024, description="request body, bytes")
    max_response_bytes: int = Field(100_000_000, ge=1024, description="predicted response, bytes")
    max_items: int = Field(256, ge=1, description="texts + images in one request")
    max_image_bytes: int = Field(20_000_000, ge=1024, description="one encoded image, bytes")
    max_pixels: int = Field(64_000_000, ge=1, description="width x height of one image")
    max_text_chars: int = Field(8_192, ge=1, description="one text, characters")
    image_hosts: str = Field(
        "",
        pattern=r"^[\w.*:, -]*$",
        description="hosts whose https pictures are fetched, comma-separated; `*.shop.example` for "
        "subdomains; empty: URLs are refused",
    )
    image_buckets: str = Field(
        "",
        pattern=r"^[^\s,]*(\s*,\s*[^\s,]+)*$",
        description="`bucket` or `bucket/prefix` whose s3:// pictures are read, comma-separated; "
        "empty: they are refused",
    )
    fetch_seconds: float = Field(
        5.0, gt=0, le=60, description="time the fetching of one picture may take"
    )
    fetch_concurrency: int = Field(8, ge=1, le=256, description="pictures fetched at once")
    dimensions: Literal["allow", "refuse"] = Field(
        "allow", description="refuse: no request may shorten vectors"
    )
    api_key: SecretStr = Field(
        SecretStr(""), description="bearer key every request must carry; empty: none is asked for"
    )
    max_batch: int | None = Field(
        None,
        ge=0,
        le=4096,
        description="rows of several requests run together; 0: no batching. Unset: on a server 64 "
        "on a GPU and 16 on a CPU, 0 elsewhere",
    )
    batch_wait_ms: float = Field(
        3.0,
        ge=0,
        le=1000,
        description="time a row waits for others to join its batch while several clients ask",
    )
    max_queue: int = Field(
        4096,
        ge=1,
        description="requests, and rows of them waiting for the engine, beyond which new "
        "requests get a 429; needs MAX_BATCH",
    )
    max_queue_bytes: int = Field(
        1_000_000_000,
        ge=1024,
        description="bodies of requests being answered, bytes together, beyond which new requests "
        "get a 429; needs MAX_BATCH",
    )
    request_seconds: float = Field(
        0.0, ge=0, description="time a request may take before it gets a 504; 0: no limit"
    )
    host: str = Field("127.0.0.1", description="address the server binds")
    port: int = Field(7860, ge=0, le=65535, description="port the server binds")
    sagemaker_bind_to_port: int | None = Field(
        None, ge=1, le=65535, description="the platform's own PORT; overrides ours"
    )
    sagemaker_batch: bool = Field(
        False,
        description="set by Batch Transform: bodies up to 100 MB, and REQUEST_SECONDS is not kept",
    )
    root_path: str = Field(
        "",
        pattern=r"^(/[^/]+)*$",
        description="path prefix a proxy strips (API Gateway's is detected)",
    )
    metrics_namespace: str = Field("OpenCLIP", min_length=1, description="CloudWatch namespace")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="log level")
    shutdown_seconds: int = Field(20, ge=0, description="time in-flight requests get on SIGTERM")

    def identity(self) -> tuple[str, str, str]:
        """Return (architecture, pretrained, MODEL_ID) with the predecessor's defaults filled in."""
        name, pretrained, model_id = DEFAULT_MODEL
        if self.model_name != name:
            pretrained = self.model_pretrained
        pretrained = self.model_pretrained or pretrained
        if (self.model_name, pretrained) != DEFAULT_MODEL[:2]:
            model_id = default_model_id(self.model_name, pretrained)
        return self.model_name, pretrained, self.model_id or model_id


def default_model_id(name: str, pretrained: str) -> str:
    """Return the MODEL_ID a model gets when nobody names it: never another model's."""
    stem = Path(pretrained).stem if pretrained else ""
    return "-".join(["OpenCLIP", name.rpartition(":")[2].replace("/", "-"), stem]).rstrip("-")


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment once.

    Raises:
        SetupError: a variable has a value this service does not know; the message names it.
    """
    fields = Settings.model_fields
    values = {name: environ[name.upper()] for name in fields if environ.get(name.upper())}
    if "AWS_LAMBDA_FUNCTION_NAME" in environ:
        values.setdefault("max_body_bytes", str(LAMBDA_MAX_BODY))
        values.setdefault("max_response_bytes", str(LAMBDA_MAX_BODY))
    if environ.get("SAGEMAKER_BATCH", "").lower() == "true":
        values.setdefault("max_body_bytes", str(SAGEMAKER_MAX_BODY))
        values["request_seconds"] = "0"  # the job has its own timeout, of up to an hour
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        raise SetupError(f"{name}={environ.get(name)!r}: {first['msg']}") from None
    if settings.engine == "openvino" and settings.device != "cpu":
        raise SetupError("DEVICE=cuda needs ENGINE=torch; ENGINE=openvino runs on the CPU")
    if settings.precision == "f16" and settings.device != "cuda":
        raise SetupError("PRECISION=f16 needs DEVICE=cuda; on the CPU use f32 or bf16")
    if settings.sagemaker_bind_to_port is not None:
        settings = settings.model_copy(update={"port": settings.sagemaker_bind_to_port})
    return settings
