"""CodeDeploy's pre-traffic hook: the new version must embed one text before it gets requests."""

import json
import os
import sys
from typing import Any

import boto3
from botocore.config import Config

# One cold start may take longer than boto3's 60 s; a second attempt would only hide a failure.
_SLOW_ONCE = Config(read_timeout=150, retries={"total_max_attempts": 1})
# A PNG of one red pixel, for a function that loads the image tower only.
RED_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)


def handler(event: dict[str, str], _context: object) -> str:
    """Invoke NEW_VERSION and tell CodeDeploy Succeeded or Failed."""
    status = "Failed"
    try:
        found = problem(ask(os.environ["NEW_VERSION"]))
        sys.stdout.write(json.dumps({"message": "smoke test", "problem": found}) + "\n")
        status = "Failed" if found else "Succeeded"
    finally:
        # Also after an exception: CodeDeploy would otherwise wait an hour for the answer.
        boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
            deploymentId=event["DeploymentId"],
            lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
            status=status,
        )
    return status


def ask(version: str) -> Any:
    """Return the answer of one version to a bare native request."""
    image_only = os.environ.get("TOWERS") == "image"
    payload = {"image": RED_PIXEL} if image_only else {"text": "smoke test"}
    answer = boto3.client("lambda", config=_SLOW_ONCE).invoke(
        FunctionName=version, Payload=json.dumps(payload).encode()
    )
    return json.loads(answer["Payload"].read())


def problem(answer: Any) -> str:
    """Say what is wrong with an answer; "" if it holds one vector that is not all zeros."""
    embeddings = answer.get("embeddings") if isinstance(answer, dict) else None
    if not embeddings:
        return f"no embeddings: {json.dumps(answer)[:500]}"
    if len(embeddings) != 1 or not any(embeddings[0]):
        return f"{len(embeddings)} vectors, or one of zeros only"
    return ""
