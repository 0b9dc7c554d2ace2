"""What SageMaker refuses, or does without being asked, and no linter says.

Each rule: a resolved template → sentences, as in rules.py.
"""

import re
from collections.abc import Iterator
from typing import Any

from rules import Found, of_type, references, values_of
from sam_cli import Template

GPU = re.compile(r"ml\.(g4dn|g5|g6|g6e|p[4-6][a-z]*)\.\d*xlarge")
STARTUP_SECONDS = 480
API_SECONDS = 29
REALTIME_SECONDS = 60
REALTIME_BYTES = 25 * 1024 * 1024
ASYNC_SECONDS = 3600
ASYNC_BYTES = 1024**3
DEFAULT_BODY_BYTES = 25_000_000
"""MAX_BODY_BYTES of the server when nobody sets it."""


def gpu(template: Template) -> Found:
    """The image's engine wants CUDA."""
    return [
        f"{name}: {variant['InstanceType']} has no GPU"
        for name, _, variant in _variants(template)
        if not GPU.fullmatch(variant["InstanceType"])
    ]


def isolation(template: Template) -> Found:
    """A container without anything to fetch needs no network, and then has no credentials."""
    found = []
    for name, model in of_type(template, "AWS::SageMaker::Model"):
        environment = model["PrimaryContainer"].get("Environment", {})
        fetches = {"IMAGE_HOSTS", "IMAGE_BUCKETS"} & environment.keys()
        isolated = str(model.get("EnableNetworkIsolation")).lower() == "true"
        if fetches and isolated:
            found.append(f"{name}: {', '.join(sorted(fetches))} without a network")
        if not fetches and not isolated:
            found.append(f"{name}: has a network and nothing to fetch")
    return found


def variables(template: Template) -> Found:
    """CloudFormation passes an environment on as it is, and SageMaker wants strings."""
    return [
        f"{name}: {variable} is not a string"
        for name, model in of_type(template, "AWS::SageMaker::Model")
        for variable, value in model["PrimaryContainer"].get("Environment", {}).items()
        if not isinstance(value, str)
    ]


def capture(template: Template) -> Found:
    """Nobody's texts and pictures are kept."""
    return [
        f"{name}: requests are captured"
        for name, config in of_type(template, "AWS::SageMaker::EndpointConfig")
        if "DataCaptureConfig" in config
    ]


def startup(template: Template) -> Found:
    """A start that fails is to be seen within minutes; components have the time of their own."""
    places = [
        (name, variant) for name, config, variant in _variants(template) if "ModelName" in variant
    ]
    for name, component in of_type(template, "AWS::SageMaker::InferenceComponent"):
        places.append((name, component["Specification"].get("StartupParameters", {})))
    return [
        f"{name}: a start may take {seconds} s, not up to {STARTUP_SECONDS}"
        for name, place in places
        if not 60
        <= int(seconds := place.get("ContainerStartupHealthCheckTimeoutInSeconds", 0))
        <= STARTUP_SECONDS
    ]


def local_disks(template: Template) -> Found:
    """Instances with disks of their own encrypt them, and are refused with a key beside it."""
    return [
        f"{name}: KmsKeyId is refused with {variant['InstanceType']}"
        for name, config, variant in _variants(template)
        if "KmsKeyId" in config and GPU.fullmatch(variant["InstanceType"])
    ]


def limits(template: Template) -> Found:
    """A container must not allow what SageMaker cuts off."""
    uses = [
        (name, "AsyncInferenceConfig" in config, variant["ModelName"])
        for name, config, variant in _variants(template)
        if "ModelName" in variant
    ]
    for name, component in of_type(template, "AWS::SageMaker::InferenceComponent"):
        uses.append((name, False, component["Specification"]["ModelName"]))
    models = dict(of_type(template, "AWS::SageMaker::Model"))
    found = []
    for name, asynchronous, model in uses:
        [used] = models.keys() & set(references(model))
        environment = models[used]["PrimaryContainer"]["Environment"]
        size = int(environment.get("MAX_BODY_BYTES", DEFAULT_BODY_BYTES))
        seconds = float(environment.get("REQUEST_SECONDS", 0))
        most, longest = (
            (ASYNC_BYTES, ASYNC_SECONDS) if asynchronous else (REALTIME_BYTES, REALTIME_SECONDS)
        )
        if size > most:
            found.append(f"{name}: {used} takes {size} bytes, SageMaker {most}")
        if not 0 < seconds <= longest:
            found.append(f"{name}: {used} may take {seconds:g} s, SageMaker waits {longest}")
    return found


def proxy_time(template: Template) -> Found:
    """Who waits for a function must wait longer than it runs, or its refusal is lost."""
    waits = [int(value) // 1000 for value in values_of(template["Resources"], "timeoutInMillis")]
    return [
        f"{name}: runs {function['Timeout']} s, API Gateway waits {min(waits)}"
        for name, function in of_type(template, "AWS::Lambda::Function")
        if waits and not int(function["Timeout"]) < min(*waits, API_SECONDS)
    ]


def from_zero(template: Template) -> Found:
    """What may scale to zero needs an alarm that starts it, and must be of a kind that can."""
    found = []
    for name, target in of_type(template, "AWS::ApplicationAutoScaling::ScalableTarget"):
        if int(target["MinCapacity"]) > 0:
            continue
        starters = [
            policy
            for policy, properties in of_type(
                template, "AWS::ApplicationAutoScaling::ScalingPolicy"
            )
            if properties["ScalingTargetId"] == {"Ref": name}
            and properties["PolicyType"] == "StepScaling"
        ]
        component = target["ScalableDimension"] == "sagemaker:inference-component:DesiredCopyCount"
        metric = "NoCapacityInvocationFailures" if component else "HasBacklogWithoutCapacity"
        alarms = [
            alarm
            for alarm, properties in of_type(template, "AWS::CloudWatch::Alarm")
            if properties["MetricName"] == metric
            and any({"Ref": starter} in properties.get("AlarmActions", []) for starter in starters)
        ]
        if not alarms:
            found.append(f"{name}: nothing starts it from zero on {metric}")
        if not component and "JobsEndpoint" not in str(target["ResourceId"]):
            found.append(f"{name}: an endpoint that answers requests cannot go to zero")
    return found


def components(template: Template) -> Found:
    """Managed scaling is of inference components only, which need the role beside the variants."""
    found = []
    for name, config, variant in _variants(template):
        managed = "ManagedInstanceScaling" in variant
        if managed and "ModelName" in variant:
            found.append(f"{name}: ManagedInstanceScaling is for inference components only")
        if "ModelName" not in variant and not (managed and "ExecutionRoleArn" in config):
            found.append(f"{name}: inference components need managed scaling and a role")
        if int(variant.get("InitialInstanceCount", 0)) < 1:
            found.append(f"{name}: SageMaker starts no endpoint with no instance")
    return found


ALL = [
    gpu,
    isolation,
    variables,
    capture,
    startup,
    local_disks,
    limits,
    proxy_time,
    from_zero,
    components,
]


def _variants(template: Template) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for name, config in of_type(template, "AWS::SageMaker::EndpointConfig"):
        for variant in config["ProductionVariants"]:
            yield name, config, variant
