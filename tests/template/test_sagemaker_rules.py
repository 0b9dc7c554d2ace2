"""Each rule for SageMaker catches the change it exists for; test_sagemaker_stack.py runs all."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import sagemaker_rules
from sagemaker_stacks import KEY, TOPIC, translations
from sam_cli import Template

Change = Callable[[dict[str, Any]], None]


def set_to(resource: str, *path: str | int, value: object) -> Change:
    def change(stack: dict[str, Any]) -> None:
        node = stack["Resources"][resource]["Properties"]
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return change


def without(resource: str) -> Change:
    def change(stack: dict[str, Any]) -> None:
        del stack["Resources"][resource]

    return change


VARIANT = ("ProductionVariants", 0)
ENVIRONMENT = ("PrimaryContainer", "Environment")
BROKEN: list[tuple[Any, str, Change, str]] = [
    (
        sagemaker_rules.gpu,
        "default",
        set_to("EndpointConfig", *VARIANT, "InstanceType", value="ml.m5.xlarge"),
        "EndpointConfig: ml.m5.xlarge has no GPU",
    ),
    (
        sagemaker_rules.isolation,
        "default",
        set_to("Model", "EnableNetworkIsolation", value="false"),
        "Model: has a network and nothing to fetch",
    ),
    (
        sagemaker_rules.isolation,
        "rest",
        set_to("Model", "EnableNetworkIsolation", value="true"),
        "Model: IMAGE_BUCKETS, IMAGE_HOSTS without a network",
    ),
    (
        sagemaker_rules.variables,
        "async",
        set_to("JobsModel", *ENVIRONMENT, "MAX_ITEMS", value=10_000),
        "JobsModel: MAX_ITEMS is not a string",
    ),
    (
        sagemaker_rules.capture,
        "default",
        set_to("EndpointConfig", "DataCaptureConfig", value={"EnableCapture": True}),
        "EndpointConfig: requests are captured",
    ),
    (
        sagemaker_rules.startup,
        "default",
        set_to(
            "EndpointConfig",
            *VARIANT,
            "ContainerStartupHealthCheckTimeoutInSeconds",
            value="3600",
        ),
        "EndpointConfig: a start may take 3600 s, not up to 480",
    ),
    (
        sagemaker_rules.startup,
        "zero",
        set_to("Component", "Specification", "StartupParameters", value={}),
        "Component: a start may take 0 s, not up to 480",
    ),
    (
        sagemaker_rules.local_disks,
        "default",
        set_to("EndpointConfig", "KmsKeyId", value=KEY),
        "EndpointConfig: KmsKeyId is refused with ml.g5.xlarge",
    ),
    (
        sagemaker_rules.limits,
        "default",
        set_to("Model", *ENVIRONMENT, "MAX_BODY_BYTES", value="30000000"),
        "EndpointConfig: Model takes 30000000 bytes, SageMaker 26214400",
    ),
    (
        sagemaker_rules.limits,
        "async",
        set_to("JobsModel", *ENVIRONMENT, "REQUEST_SECONDS", value="7200"),
        "JobsEndpointConfig: JobsModel may take 7200 s, SageMaker waits 3600",
    ),
    (
        sagemaker_rules.proxy_time,
        "default",
        set_to("ProxyFunction", "Timeout", value="29"),
        "ProxyFunction: runs 29 s, API Gateway waits 29",
    ),
    (
        sagemaker_rules.from_zero,
        "zero",
        without("ComponentAsked"),
        "ComponentTarget: nothing starts it from zero on NoCapacityInvocationFailures",
    ),
    (
        sagemaker_rules.from_zero,
        "async",
        set_to("JobsAsked", "AlarmActions", value=[TOPIC]),
        "JobsTarget: nothing starts it from zero on HasBacklogWithoutCapacity",
    ),
    (
        sagemaker_rules.components,
        "zero",
        set_to("EndpointConfig", *VARIANT, "ModelName", value="model"),
        "EndpointConfig: ManagedInstanceScaling is for inference components only",
    ),
    (
        sagemaker_rules.components,
        "default",
        set_to("EndpointConfig", *VARIANT, "InitialInstanceCount", value="0"),
        "EndpointConfig: SageMaker starts no endpoint with no instance",
    ),
]


@pytest.mark.parametrize(("rule", "name", "change", "sentence"), BROKEN)
def test_a_broken_template_is_caught(
    rule: Callable[[Template], list[str]],
    name: str,
    change: Change,
    sentence: str,
) -> None:
    broken = deepcopy(translations()[1][name])
    change(broken)
    assert rule(broken) == [sentence]


def test_every_rule_has_a_template_it_catches() -> None:
    assert {rule for rule, *_ in BROKEN} == set(sagemaker_rules.ALL)
