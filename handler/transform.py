"""Batch transform: JSON lines in S3 become vectors in S3, by a SageMaker model of this image.

SageMaker splits the objects into lines, posts them to /invocations one by one (or as many as fit
into a payload) and writes one line for each back, to OUTPUT/<name of the input object>.out.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from handler.errors import SetupError

MAX_PAYLOAD_MB: Final = 100
"""Of one payload, and of all that are under way at once (CreateTransformJob, MaxPayloadInMB)."""
MAX_VARIABLES: Final = 16
KIND: Final = "application/jsonlines"
GPU_AMI: Final = "al2-ami-sagemaker-batch-gpu-535"
"""The newest driver batch transform has: CUDA 12.2, so torch's wheels must be those of CUDA 12."""
_S3: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?")
_NAME: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_ENDED: Final = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class Transform:
    """One job as it is wanted; `concurrency` 0 leaves it to GET /execution-parameters.

    `many_lines` sends as many lines at once as fit. It suits pictures; short texts answer with
    hundreds of times their size, past what one answer may have.
    """

    name: str
    model: str
    source: str
    target: str
    instance_type: str = "ml.g5.xlarge"
    instances: int = 1
    payload_mb: int = 6
    concurrency: int = 0
    many_lines: bool = False
    kms_key: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def call(self) -> dict[str, Any]:
        """Return the arguments of boto3's create_transform_job.

        Raises:
            SetupError: a value SageMaker would refuse; names the option.
        """
        self._check()
        output = {"S3OutputPath": self.target, "Accept": KIND, "AssembleWith": "Line"}
        resources: dict[str, Any] = {
            "InstanceType": self.instance_type,
            "InstanceCount": self.instances,
        }
        if self.instance_type.startswith(("ml.g", "ml.p")):
            resources["TransformAmiVersion"] = GPU_AMI
        if self.kms_key:
            output["KmsKeyId"] = self.kms_key
        call: dict[str, Any] = {
            "TransformJobName": self.name,
            "ModelName": self.model,
            "BatchStrategy": "MultiRecord" if self.many_lines else "SingleRecord",
            "MaxPayloadInMB": self.payload_mb,
            "ModelClientConfig": {"InvocationsTimeoutInSeconds": 600, "InvocationsMaxRetries": 1},
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": self.source}},
                "ContentType": KIND,
                "SplitType": "Line",
            },
            "TransformOutput": output,
            "TransformResources": resources,
        }
        if self.environment:
            call["Environment"] = self.environment
        if self.concurrency:
            call["MaxConcurrentTransforms"] = self.concurrency
        if self.tags:
            call["Tags"] = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        return call

    def _check(self) -> None:
        for option, value in (("--input", self.source), ("--output", self.target)):
            if not _S3.fullmatch(value):
                raise SetupError(f"{option} {value}: give an address such as s3://bucket/prefix")
        for option, value in (("--model", self.model), ("--name", self.name)):
            if not _NAME.fullmatch(value):
                raise SetupError(f"{option} {value}: give 1 to 63 letters, digits and dashes")
        if not 1 <= self.payload_mb <= MAX_PAYLOAD_MB:
            raise SetupError(f"--payload-mb {self.payload_mb}: give 1 to {MAX_PAYLOAD_MB}")
        if self.payload_mb * self.concurrency > MAX_PAYLOAD_MB:
            raise SetupError(
                f"--concurrency {self.concurrency} times --payload-mb {self.payload_mb} is "
                f"{self.payload_mb * self.concurrency} MB; SageMaker allows {MAX_PAYLOAD_MB}"
            )
        if len(self.environment) > MAX_VARIABLES:
            raise SetupError(f"--env: SageMaker takes {MAX_VARIABLES} variables")


def client() -> Any:
    """Return boto3's client of SageMaker.

    Raises:
        SetupError: boto3 is not installed, or no region is set.
    """
    try:
        import boto3
        from botocore.exceptions import NoRegionError
    except ImportError:
        raise SetupError(
            'transform needs boto3: pip install "openclip-serverless[fetch]"'
        ) from None
    try:
        return boto3.client("sagemaker")
    except NoRegionError:
        raise SetupError("no AWS region is set; set AWS_REGION or AWS_DEFAULT_REGION") from None


def start(sagemaker: Any, call: dict[str, Any]) -> str:
    """Start a job and return its ARN.

    Raises:
        SetupError: SageMaker refuses, in its own words.
    """
    arn: str = _asked(sagemaker.create_transform_job, **call)["TransformJobArn"]
    return arn


def wait(
    sagemaker: Any, name: str, tell: Callable[[str], None], seconds: float = 10
) -> dict[str, Any]:
    """Ask every so many seconds until a job has ended, telling each status; return its description.

    Raises:
        SetupError: it failed or was stopped, and why; or SageMaker does not tell.
    """
    while True:
        found = _asked(sagemaker.describe_transform_job, TransformJobName=name)
        status = found["TransformJobStatus"]
        tell(status)
        if status in _ENDED:
            break
        time.sleep(seconds)
    if status != "Completed":
        raise SetupError(f"{name} is {status.lower()}: {found.get('FailureReason', 'no reason')}")
    return found


def _asked(operation: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return operation(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise SetupError(f"SageMaker refuses: {error}") from None
