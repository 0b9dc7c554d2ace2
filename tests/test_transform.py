"""`openclip transform`: the real command and the real client against SageMaker's JSON protocol."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from handler.errors import SetupError
from handler.transform import Transform

KEYS = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_MAX_ATTEMPTS": "1",
}
PLACES = ["--input", "s3://texts/in", "--output", "s3://texts/out"]
ARN = "arn:aws:sagemaker:us-east-1:111122223333:transform-job/mine"


def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    return subprocess.run(
        [sys.executable, "-m", "handler.cli", "transform", "--model", "clip", *PLACES, *options],
        env=kept | KEYS | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def sagemaker(*statuses: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve the two operations; a job has the given statuses one after the other."""
    calls: list[dict[str, Any]] = []
    left = list(statuses)

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            operation = self.headers["x-amz-target"].removeprefix("SageMaker.")
            calls.append({"operation": operation} | body)
            status, answer = 200, {"TransformJobArn": ARN}
            if operation == "DescribeTransformJob":
                answer = {"TransformJobStatus": left.pop(0), "FailureReason": "AlgorithmError: x"}
            elif not statuses:
                status, answer = 400, {"__type": "ValidationException", "message": "no such model"}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/x-amz-json-1.1")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", calls
        finally:
            server.shutdown()
            thread.join()


def test_the_call_as_it_is_sent() -> None:
    options = ["--name=mine", "--payload-mb=20", "--concurrency=5", "--env=PRECISION=f16"]
    more = ["--tag=project=shop", "--kms-key=alias/mine", "--instances=2", "--many-lines"]
    with sagemaker("Completed") as (url, calls):
        result = run(*options, *more, AWS_ENDPOINT_URL=url)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ARN
    assert calls == [
        {
            "operation": "CreateTransformJob",
            "TransformJobName": "mine",
            "ModelName": "clip",
            "BatchStrategy": "MultiRecord",
            "MaxPayloadInMB": 20,
            "MaxConcurrentTransforms": 5,
            "ModelClientConfig": {"InvocationsTimeoutInSeconds": 600, "InvocationsMaxRetries": 1},
            "Environment": {"PRECISION": "f16"},
            "TransformInput": {
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://texts/in"}
                },
                "ContentType": "application/jsonlines",
                "SplitType": "Line",
            },
            "TransformOutput": {
                "S3OutputPath": "s3://texts/out",
                "Accept": "application/jsonlines",
                "AssembleWith": "Line",
                "KmsKeyId": "alias/mine",
            },
            "TransformResources": {
                "InstanceType": "ml.g5.xlarge",
                "InstanceCount": 2,
                "TransformAmiVersion": "al2-ami-sagemaker-batch-gpu-535",
            },
            "Tags": [{"Key": "project", "Value": "shop"}],
        }
    ]


def test_it_waits_until_the_job_has_ended() -> None:
    with sagemaker("InProgress", "InProgress", "Completed") as (url, calls):
        result = run("--wait", "--poll=0.01", AWS_ENDPOINT_URL=url)
    assert result.returncode == 0, result.stderr
    assert "Completed in" in result.stderr
    asked = [call["operation"] for call in calls]
    assert asked == ["CreateTransformJob", *["DescribeTransformJob"] * 3]
    assert calls[1]["TransformJobName"] == calls[0]["TransformJobName"]
    assert calls[0]["TransformJobName"].startswith("openclip-20")


@pytest.mark.parametrize("end", ["Failed", "Stopped"])
def test_a_job_that_ends_badly_ends_the_command_so(end: str) -> None:
    with sagemaker("InProgress", end) as (url, _):
        result = run("--wait", "--poll=0.01", "--name=mine", AWS_ENDPOINT_URL=url)
    assert result.returncode == 1
    assert f"openclip: mine is {end.lower()}: AlgorithmError: x" in result.stderr


def test_what_sagemaker_refuses_is_a_sentence() -> None:
    with sagemaker() as (url, _):
        result = run(AWS_ENDPOINT_URL=url)
    assert result.returncode == 1
    assert "SageMaker refuses" in result.stderr
    assert "no such model" in result.stderr
    assert "Traceback" not in result.stderr


def test_moto_knows_the_job_afterwards() -> None:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        result = run("--wait", "--name=mine", AWS_ENDPOINT_URL=url)
        assert result.returncode == 0, result.stderr
        client = boto3.client(
            "sagemaker",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        job = client.describe_transform_job(TransformJobName="mine")
    finally:
        server.stop()
    assert job["TransformInput"]["SplitType"] == "Line"
    assert job["BatchStrategy"] == "SingleRecord"
    assert job["TransformOutput"]["AssembleWith"] == "Line"


def test_a_dry_run_prints_the_call_and_makes_none() -> None:
    result = run("--dry-run", "--name=mine", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert result.returncode == 0, result.stderr
    before, _, printed = result.stdout.partition("(**")
    assert before == "boto3.client('sagemaker').create_transform_job"
    expected = Transform("mine", "clip", "s3://texts/in", "s3://texts/out").call()
    assert json.loads(printed.rstrip().removesuffix(")")) == expected
    assert "MaxConcurrentTransforms" not in expected


def test_no_driver_is_asked_for_without_a_gpu() -> None:
    call = Transform(
        "mine", "clip", "s3://texts", "s3://texts/out", instance_type="ml.m5.xlarge"
    ).call()
    assert call["TransformResources"] == {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"source": "texts/in"}, "--input texts/in: give an address such as s3://bucket/prefix"),
        ({"target": "s3://T"}, "--output s3://T: give an address"),
        ({"model": "a_b"}, "--model a_b: give 1 to 63 letters"),
        ({"name": "-"}, "--name -: give 1 to 63 letters"),
        ({"payload_mb": 101}, "--payload-mb 101: give 1 to 100"),
        ({"payload_mb": 20, "concurrency": 6}, "is 120 MB; SageMaker allows 100"),
        ({"environment": {str(n): "" for n in range(17)}}, "--env: SageMaker takes 16"),
    ],
)
def test_what_sagemaker_would_refuse_is_refused_here(wrong: dict[str, Any], sentence: str) -> None:
    right = {"name": "mine", "model": "clip", "source": "s3://texts/in", "target": "s3://texts/out"}
    with pytest.raises(SetupError, match=re.escape(sentence)):
        Transform(**(right | wrong)).call()


def test_a_pair_without_equals_is_named() -> None:
    result = run("--env", "PRECISION", "--dry-run")
    assert result.returncode == 1
    assert "--env PRECISION: write NAME=VALUE" in result.stderr


def test_without_a_region_it_says_so() -> None:
    result = run(AWS_DEFAULT_REGION="", AWS_CONFIG_FILE="/nonexistent")
    assert result.returncode == 1
    assert "no AWS region is set" in result.stderr.replace("\n", " ")
