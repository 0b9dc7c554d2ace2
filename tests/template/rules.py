"""Mistakes that `sam validate --lint` lets through. Each rule: a resolved template → sentences.

A resolved template is what SAM and then CloudFormation make of ours: no parameters and conditions,
plain AWS::Lambda::Function and so on; references to other resources are still references.
"""

import re
from collections.abc import Iterator
from typing import Any

from sam_cli import Template

NO_RESOURCE = {
    "cloudwatch:DescribeAlarms",
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""Actions granted on "*", since AWS knows no narrower form (DescribeAlarms only reads)."""

_JOBS = r"arn:aws:s3:::\$\{JobsBucket\}/(in|jobs|out|failed)/\*"

_TRANSFORM_LOGS = "arn:aws:logs:us-east-1:111122223333:log-group:/aws/sagemaker/TransformJobs"
NARROW = {
    "lambda:InvokeFunction": r"\$\{\w+\.Arn\}:\*",  # the versions of one function
    "s3:GetObject": rf"arn:aws:s3:::[a-z0-9.-]+(/[a-z0-9.-]+)?/\*|{_JOBS}",  # bucket or prefix
    "s3:PutObject": rf"arn:aws:s3:::[a-z0-9.-]+/[a-z0-9.-]+/\*|{_JOBS}",  # of one prefix
    "s3:AbortMultipartUpload": rf"arn:aws:s3:::[a-z0-9.-]+/[a-z0-9.-]+/\*|{_JOBS}",
    "logs:CreateLogStream": rf"{_TRANSFORM_LOGS}:log-stream:[a-z0-9-]+-\*",  # of one kind of job
    "logs:PutLogEvents": rf"{_TRANSFORM_LOGS}:log-stream:[a-z0-9-]+-\*",
    "logs:DescribeLogStreams": rf"{_TRANSFORM_LOGS}:\*",
    **dict.fromkeys(
        (
            "sagemaker:AddTags",
            "sagemaker:CreateTransformJob",
            "sagemaker:DescribeTransformJob",
            "sagemaker:StopTransformJob",
        ),
        r"arn:aws:sagemaker:us-east-1:111122223333:transform-job/[a-z0-9-]+-\*",
    ),
}
"""Wildcards at the end of one resource's own ARN."""

MANAGED = {"arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"}
"""The one AWS policy in use: API Gateway refuses a log role that may do less."""

Found = list[str]


def memory(template: Template) -> Found:
    """Lambda has 128 to 10,240 MB."""
    return [
        f"{name}: MemorySize {size} is not within 128 to 10240"
        for name, function in _functions(template)
        if not 128 <= (size := int(function.get("MemorySize", 128))) <= 10_240
    ]


def snapstart_with_provisioned(template: Template) -> Found:
    """A version has a snapshot or provisioned concurrency, not both."""
    return [
        f"{name}: SnapStart and provisioned concurrency exclude each other"
        for name, function in _functions(template)
        if _snapstart(function)
        for kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version")
        for _, holder in of_type(template, kind)
        if holder["FunctionName"] == {"Ref": name} and "ProvisionedConcurrencyConfig" in holder
    ]


def snapstart_with_storage(template: Template) -> Found:
    """SnapStart needs /tmp at its 512 MB and no EFS."""
    found = []
    for name, function in _functions(template):
        if _snapstart(function):
            size = int(function.get("EphemeralStorage", {}).get("Size", 512))
            if size > 512:
                found.append(f"{name}: SnapStart does not work with {size} MB of /tmp")
            if function.get("FileSystemConfigs"):
                found.append(f"{name}: SnapStart does not work with EFS")
    return found


def http_api_timeout(template: Template) -> Found:
    """An HTTP API waits 30 s and no longer, whatever the integration says."""
    timeouts = [
        (name, timeout)
        for kind, key in (("Api", "timeoutInMillis"), ("Integration", "TimeoutInMillis"))
        for name, properties in of_type(template, f"AWS::ApiGatewayV2::{kind}")
        for timeout in values_of(properties, key)
    ]
    return [
        f"{name}: an HTTP API ends requests after 30 s, not {timeout} ms"
        for name, timeout in timeouts
        if int(timeout) > 30_000
    ]


def iam_wildcards(template: Template) -> Found:
    """Exact actions on exact resources, and no AWS policy that is wider."""
    found = [
        f"{name}: the AWS policy {policy} is wider than needed"
        for name, role in of_type(template, "AWS::IAM::Role")
        for policy in role.get("ManagedPolicyArns", [])
        if policy not in MANAGED
    ]
    policies = [
        *of_type(template, "AWS::IAM::Policy"),
        *of_type(template, "AWS::IAM::ManagedPolicy"),
        *((n, p) for n, r in of_type(template, "AWS::IAM::Role") for p in r.get("Policies", [])),
    ]
    for name, policy in policies:
        for statement in as_list(policy["PolicyDocument"]["Statement"]):
            found += [f"{name}: {problem}" for problem in _wide(statement)]
    return found


def _wide(statement: dict[str, Any]) -> Iterator[str]:
    actions = as_list(statement["Action"])
    yield from (f"action {action}" for action in actions if "*" in action)
    if "cloudwatch:PutMetricData" in actions and "cloudwatch:namespace" not in str(
        statement.get("Condition")
    ):
        yield "cloudwatch:PutMetricData in every namespace"
    for resource in as_list(statement["Resource"]):
        text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
        if text == "*" and set(actions) <= NO_RESOURCE:
            continue
        narrow = all(re.fullmatch(NARROW.get(action, "-"), text) for action in actions)
        if "*" in text and not narrow:
            yield f"{', '.join(actions)} on {text}"


def public_url(template: Template) -> Found:
    """A public Function URL needs two permissions, and nothing else is open to everyone."""
    found = []
    for name, url in of_type(template, "AWS::Lambda::Url"):
        granted = {
            permission["Action"]
            for _, permission in of_type(template, "AWS::Lambda::Permission")
            if permission["Principal"] == "*"
        }
        needed = {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
        if url["AuthType"] == "NONE" and granted != needed:
            missing = ", ".join(sorted(needed - granted))
            found.append(f"{name}: a public Function URL also needs {missing}")
        if url["AuthType"] != "NONE" and granted:
            found.append(f"{name}: asks for signatures, yet everyone may invoke the function")
    for name, permission in of_type(template, "AWS::Lambda::Permission"):
        via_url = permission.get("InvokedViaFunctionUrl") or permission.get("FunctionUrlAuthType")
        if permission["Principal"] == "*" and not via_url:
            found.append(f"{name}: everyone may invoke the function, not only through its URL")
        if permission["Principal"] != "*" and "SourceArn" not in permission:
            found.append(f"{name}: {permission['Principal']} may invoke it for any account")
    return found


def circles(template: Template) -> Found:
    """No resource may wait for itself; an alias waits for its deployment group's alarms too."""
    resources = template["Resources"]
    waits = {name: set(references(entry)) & resources.keys() for name, entry in resources.items()}
    while free := [name for name, needed in waits.items() if not needed & waits.keys()]:
        for name in free:
            del waits[name]
    return [f"these wait for each other: {', '.join(sorted(waits))}"] if waits else []


ALL = [
    memory,
    snapstart_with_provisioned,
    snapstart_with_storage,
    http_api_timeout,
    iam_wildcards,
    public_url,
    circles,
]


def of_type(template: Template, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource.get("Properties", {})


def _functions(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    return of_type(template, "AWS::Lambda::Function")


def _snapstart(function: dict[str, Any]) -> bool:
    return bool(function.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions")


def as_list(node: Any) -> list[Any]:
    return node if isinstance(node, list) else [node]


def values_of(node: Any, key: str) -> Iterator[Any]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values_of(value, key)
    elif isinstance(node, list):
        for item in node:
            yield from values_of(item, key)


def references(node: Any) -> Iterator[str]:
    for function in ("Ref", "Fn::GetAtt", "Fn::Sub", "DependsOn"):
        for argument in values_of(node, function):
            for text in as_list(argument):
                if function == "Fn::Sub" and isinstance(text, str):
                    yield from re.findall(r"\$\{(\w+)", text)
                elif isinstance(text, str):
                    yield text.partition(".")[0]
