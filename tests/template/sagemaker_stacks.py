"""infra/sagemaker.yaml as written, and resolved for sets of parameters that use all of it."""

import functools
from typing import Any

from resolve import resolve
from sam_cli import ROOT, Template, Values, translate

TEMPLATE = ROOT / "infra" / "sagemaker.yaml"
TOPIC = "arn:aws:sns:us-east-1:111122223333:alarms"
KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"
IMAGE = {"ImageRepository": "openclip", "ImageTag": "4f2a9c1"}

COMBINATIONS: dict[str, Values] = {
    "default": {},
    "jobs": {"Jobs": "yes", "AlarmTopicArn": TOPIC, "KmsKeyArn": KEY},
    "zero": {"Mode": "components", "MinInstances": "0"},
    "components": {"Mode": "components", "MinInstances": "2", "MaxInstances": "4"},
    "async": {"Mode": "async", "ApiAuth": "iam"},
    "canary": {
        "Deployment": "Canary",
        "MinInstances": "2",
        "ApiAuth": "none",
        "AccessLogs": "none",
    },
    "rest": {
        "ModelBucket": "models",
        "ModelKey": "clip/model.tar.gz",
        "NetworkIsolation": "false",
        "ImageBucket": "pictures",
        "ImageHosts": "*.shop.example",
        "Tracing": "Active",
        "AccessLogs": "create-role",
        "QuotaPerMonth": "0",
        "InstanceType": "ml.g4dn.xlarge",
    },
}


def given(name: str) -> Values:
    return IMAGE | COMBINATIONS[name]


@functools.cache
def translations() -> tuple[Template, dict[str, Template]]:
    """Return the template and, for each combination, what SAM and CloudFormation make of it."""
    source, translated = translate(TEMPLATE, [given(name) for name in COMBINATIONS])
    pairs = zip(COMBINATIONS, translated, strict=True)
    return source, {name: resolve(template, given(name)) for name, template in pairs}


def properties(stack: Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = stack["Resources"][name]["Properties"]
    return found
