"""Each rule catches the template it exists for, and leaves the corrected one alone."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import rules
from resolve import complaints, resolve
from sam_cli import Template

FUNCTION = {
    "Type": "AWS::Lambda::Function",
    "Properties": {
        "MemorySize": 3008,
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "PublishedVersions"},
    },
}
ALIAS = {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "Embed"}}}
PUBLIC_URL = {"Type": "AWS::Lambda::Url", "Properties": {"AuthType": "NONE"}}


def permission(action: str, principal: str = "*", **more: object) -> dict[str, Any]:
    properties = {"Action": f"lambda:{action}", "Principal": principal, **more}
    return {"Type": "AWS::Lambda::Permission", "Properties": properties}


def role(action: str | list[str], resource: object, *managed: str) -> dict[str, Any]:
    document = {"Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}
    policies = [{"PolicyName": "it", "PolicyDocument": document}]
    properties = {"ManagedPolicyArns": list(managed), "Policies": policies}
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def changed(resource: dict[str, Any], **properties: object) -> dict[str, Any]:
    found = deepcopy(resource)
    found["Properties"] |= properties
    return found


def http_api(milliseconds: int) -> dict[str, Any]:
    integration = {"x-amazon-apigateway-integration": {"timeoutInMillis": milliseconds}}
    body = {"paths": {"/embeddings": {"post": integration}}}
    return {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Body": body}}


BROKEN: list[tuple[Callable[[Template], list[str]], dict[str, Any], str]] = [
    (
        rules.memory,
        {"Embed": changed(FUNCTION, MemorySize=20_480)},
        "Embed: MemorySize 20480 is not within 128 to 10240",
    ),
    (
        rules.snapstart_with_provisioned,
        {
            "Embed": FUNCTION,
            "Live": changed(
                ALIAS, ProvisionedConcurrencyConfig={"ProvisionedConcurrentExecutions": 1}
            ),
        },
        "Embed: SnapStart and provisioned concurrency exclude each other",
    ),
    (
        rules.snapstart_with_storage,
        {"Embed": changed(FUNCTION, EphemeralStorage={"Size": 10_240})},
        "Embed: SnapStart does not work with 10240 MB of /tmp",
    ),
    (
        rules.snapstart_with_storage,
        {"Embed": changed(FUNCTION, FileSystemConfigs=[{"LocalMountPath": "/mnt/x"}])},
        "Embed: SnapStart does not work with EFS",
    ),
    (
        rules.http_api_timeout,
        {"Api": http_api(60_000)},
        "Api: an HTTP API ends requests after 30 s, not 60000 ms",
    ),
    (
        rules.iam_wildcards,
        {"Role": role("s3:*", "arn:aws:s3:::pictures")},
        "Role: action s3:*",
    ),
    (
        rules.iam_wildcards,
        {"Role": role("s3:GetObject", "*")},
        "Role: s3:GetObject on *",
    ),
    (
        rules.iam_wildcards,
        {"Role": role(["xray:PutTraceSegments", "lambda:InvokeFunction"], ["*"])},
        "Role: xray:PutTraceSegments, lambda:InvokeFunction on *",
    ),
    (
        rules.iam_wildcards,
        {"Role": role("lambda:InvokeFunction", {"Fn::Sub": "arn:aws:lambda:*:*:function:${F}"})},
        "Role: lambda:InvokeFunction on arn:aws:lambda:*:*:function:${F}",
    ),
    (
        rules.iam_wildcards,
        {"Role": role([], [], "arn:aws:iam::aws:policy/AmazonS3FullAccess")},
        "Role: the AWS policy arn:aws:iam::aws:policy/AmazonS3FullAccess is wider than needed",
    ),
    (
        rules.iam_wildcards,
        {"Role": role("cloudwatch:PutMetricData", "*")},
        "Role: cloudwatch:PutMetricData in every namespace",
    ),
    (
        rules.iam_wildcards,
        {"Role": role("s3:PutObject", {"Fn::Sub": "arn:aws:s3:::${JobsBucket}/*"})},
        "Role: s3:PutObject on arn:aws:s3:::${JobsBucket}/*",
    ),
    (
        rules.public_url,
        {"Url": PUBLIC_URL, "One": permission("InvokeFunctionUrl", FunctionUrlAuthType="NONE")},
        "Url: a public Function URL also needs lambda:InvokeFunction",
    ),
    (
        rules.public_url,
        {"Url": PUBLIC_URL, "Two": permission("InvokeFunction", InvokedViaFunctionUrl=True)},
        "Url: a public Function URL also needs lambda:InvokeFunctionUrl",
    ),
    (
        rules.public_url,
        {
            "Url": PUBLIC_URL,
            "One": permission("InvokeFunctionUrl", FunctionUrlAuthType="NONE"),
            "Two": permission("InvokeFunction"),
        },
        "Two: everyone may invoke the function, not only through its URL",
    ),
    (
        rules.public_url,
        {"Api": permission("InvokeFunction", "apigateway.amazonaws.com")},
        "Api: apigateway.amazonaws.com may invoke it for any account",
    ),
    (
        rules.circles,
        {
            "Alias": {"Type": "T", "UpdatePolicy": {"Group": {"Ref": "Group"}}},
            "Group": {"Type": "T", "Properties": {"Alarm": {"Fn::GetAtt": ["Alarm", "Arn"]}}},
            "Alarm": {"Type": "T", "Properties": {"Name": {"Fn::Sub": "${Alias}-x"}}},
            "Bystander": {"Type": "T", "DependsOn": "Topic"},
            "Topic": {"Type": "T"},
        },
        "these wait for each other: Alarm, Alias, Group",
    ),
]


@pytest.mark.parametrize(("rule", "resources", "sentence"), BROKEN)
def test_a_broken_template_is_caught(
    rule: Callable[[Template], list[str]], resources: dict[str, Any], sentence: str
) -> None:
    assert rule({"Resources": resources}) == [sentence]


def test_every_rule_has_a_template_it_catches() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(rules.ALL)


@pytest.mark.parametrize("rule", rules.ALL)
def test_a_correct_template_passes(rule: Callable[[Template], list[str]]) -> None:
    correct = {
        "Embed": FUNCTION,
        "Live": ALIAS,
        "Api": http_api(30_000),
        "Role": role("lambda:InvokeFunction", {"Fn::Sub": "${Embed.Arn}:*"}, *rules.MANAGED),
        "Traces": role("xray:PutTraceSegments", "*"),
        "Url": PUBLIC_URL,
        "One": permission("InvokeFunctionUrl", FunctionUrlAuthType="NONE"),
        "Two": permission("InvokeFunction", InvokedViaFunctionUrl=True),
        "Three": permission("InvokeFunction", "apigateway.amazonaws.com", SourceArn="arn:x"),
    }
    assert rule({"Resources": correct}) == []


def test_conditions_parameters_and_rules_are_resolved_as_cloudformation_does() -> None:
    template = {
        "Parameters": {
            "Size": {
                "Type": "Number",
                "Default": 1,
                "MaxValue": 9,
                "ConstraintDescription": "must be 9 or less.",
            },
            "Mode": {
                "Type": "String",
                "Default": "off",
                "AllowedValues": ["on", "off"],
                "ConstraintDescription": "must be on or off.",
            },
        },
        "Rules": {
            "Big": {
                "RuleCondition": {"Fn::Equals": [{"Ref": "Mode"}, "on"]},
                "Assertions": [
                    {
                        "Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Size"}, "1"]}]},
                        "AssertDescription": "on needs a size",
                    }
                ],
            }
        },
        "Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "Mode"}, "on"]}},
        "Resources": {
            "Always": {
                "Type": "T",
                "Properties": {
                    "A": {"Fn::If": ["IsOn", {"Ref": "Size"}, {"Ref": "AWS::NoValue"}]},
                    "B": {"Fn::Sub": "${Mode} in ${AWS::Region}"},
                    "C": {"Fn::Sub": "${Mode} ${Always.Arn}"},
                },
            },
            "Sometimes": {"Type": "T", "Condition": "IsOn"},
        },
    }
    rest = {"B": "off in us-east-1", "C": {"Fn::Sub": "off ${Always.Arn}"}}
    assert resolve(template, {})["Resources"] == {"Always": {"Type": "T", "Properties": rest}}
    assert resolve(template, {"Mode": "on"})["Resources"]["Sometimes"] == {"Type": "T"}
    assert complaints(template, {"Mode": "on"}) == ["on needs a size"]
    assert complaints(template, {"Size": "10", "Mode": "no"}) == [
        "Size must be 9 or less.",
        "Mode must be on or off.",
    ]
    assert complaints(template, {"Siez": "1"}) == ["Siez is not a parameter"]
