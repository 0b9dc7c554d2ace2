"""template.yaml, checked by SAM, by cfn-lint, by our own rules, and by what it promises."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import rules
from resolve import complaints, resolve
from sam_cli import ROOT, Template, Values, translate, validate

TEMPLATE = ROOT / "template.yaml"
TOPIC = "arn:aws:sns:us-east-1:111122223333:alarms"

COMBINATIONS: dict[str, Values] = {
    "default": {},
    "snapstart": {"ColdStart": "snapstart"},
    "provisioned": {"ColdStart": "provisioned", "ProvisionedConcurrency": "5"},
    "canary": {"Deployment": "Canary10Percent5Minutes", "AlarmTopicArn": TOPIC},
    "iam": {"ApiAuth": "iam", "FunctionUrl": "iam"},
    "open": {"ApiAuth": "none", "FunctionUrl": "public", "AccessLogs": "none"},
    "rest": {
        "ImageBucket": "pictures",
        "Tracing": "Active",
        "AccessLogs": "create-role",
        "ReservedConcurrency": "100",
        "QuotaPerMonth": "0",
        "Architecture": "arm64",
    },
}


@pytest.fixture(scope="module")
def translations() -> tuple[Template, dict[str, Template]]:
    """The template as written, and resolved for each combination."""
    source, translated = translate(TEMPLATE, list(COMBINATIONS.values()))
    pairs = zip(COMBINATIONS.items(), translated, strict=True)
    return source, {name: resolve(template, values) for (name, values), template in pairs}


@pytest.fixture(scope="module")
def source(translations: tuple[Template, dict[str, Template]]) -> Template:
    return translations[0]


@pytest.fixture(scope="module")
def stacks(translations: tuple[Template, dict[str, Template]]) -> dict[str, Template]:
    return translations[1]


def properties(stack: Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = stack["Resources"][name]["Properties"]
    return found


def test_sam_and_its_linter_accept_it() -> None:
    result = validate(TEMPLATE)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "is a valid SAM Template" in result.stdout


@pytest.mark.parametrize("name", COMBINATIONS)
def test_every_combination_passes_our_rules(
    name: str, source: Template, stacks: dict[str, Template]
) -> None:
    assert complaints(source, COMBINATIONS[name]) == []
    assert [sentence for rule in rules.ALL for sentence in rule(stacks[name])] == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"ColdStart": "snapstart", "EphemeralStorage": "1024"}, "set EphemeralStorage=512"),
        ({"ColdStart": "provisioned"}, "needs ProvisionedConcurrency of 1 or more"),
        ({"ColdStart": "snapstart", "ProvisionedConcurrency": "2"}, "SnapStart excludes it"),
        (
            {
                "ColdStart": "provisioned",
                "ProvisionedConcurrency": "2",
                "ReservedConcurrency": "0",
            },
            "nothing can be provisioned",
        ),
        ({"ModelName": "ViT-L-14"}, "give another model a ModelId of its own"),
        ({"ModelPretrained": "openai"}, "give another model a ModelId of its own"),
        ({"ModelPretrained": ""}, "ModelPretrained must be a pretrained tag"),
        ({"MemorySize": "20480"}, "MemorySize must be 512 to 10240 MB"),
        ({"Timeout": "901"}, "Timeout must be 5 to 900 seconds"),
        ({"ColdStart": "yes"}, "ColdStart must be none, snapstart or provisioned"),
        ({"ApiAuth": "jwt"}, "ApiAuth must be apikey"),
        ({"StageName": "a/b"}, "StageName must be 1 to 128 letters"),
        ({"AlarmTopicArn": "alarms"}, "AlarmTopicArn must be the ARN of an SNS topic"),
        ({"ImageBucket": "Pictures/*"}, "ImageBucket must be the name of an S3 bucket"),
        ({"LogRetentionDays": "8"}, "must be a number of days that CloudWatch Logs knows"),
    ],
)
def test_a_wrong_value_gives_a_sentence(source: Template, values: Values, sentence: str) -> None:
    assert [found for found in complaints(source, values) if sentence in found]


def test_every_parameter_says_what_it_is_and_what_it_takes(source: Template) -> None:
    limits = {"AllowedValues", "AllowedPattern", "MinValue", "MaxValue", "MinLength"}
    for name, parameter in source["Parameters"].items():
        assert parameter["Description"], name
        if limits & parameter.keys():
            assert parameter["ConstraintDescription"].startswith("must be "), name


def test_a_new_parameter_value_makes_a_new_version_and_deployment(source: Template) -> None:
    function = source["Resources"]["EmbedFunction"]["Properties"]
    versioned = {
        name: value
        for name, value in function.items()
        # Not part of a version: tags, roles, roll-out and concurrency act on function or alias.
        if name
        not in {
            "DeploymentPreference",
            "ProvisionedConcurrencyConfig",
            "ReservedConcurrentExecutions",
            "Tags",
            "VersionDescription",
        }
    }
    text = str([versioned, source["Conditions"]["IsSnapStart"]])
    read = {name for name in source["Parameters"] if f"'Ref': '{name}'" in text}
    named = set(re.findall(r"\$\{(\w+)\}", function["VersionDescription"]["Fn::Sub"]))
    assert "MemorySize" in read
    assert "ColdStart" in read
    assert named == read
    assert source["Resources"]["EmbeddingsApi"]["Properties"]["AlwaysDeploy"] is True


def test_the_alias_points_at_a_version(stacks: dict[str, Template]) -> None:
    for name, stack in stacks.items():
        alias = properties(stack, "EmbedFunctionAliaslive")
        assert alias["Name"] == "live"
        [version] = [key for key in stack["Resources"] if key.startswith("EmbedFunctionVersion")]
        assert alias["FunctionVersion"] == {"Fn::GetAtt": [version, "Version"]}
        assert ("ProvisionedConcurrencyConfig" in alias) == (name == "provisioned")
        function = properties(stack, "EmbedFunction")
        wanted = "PublishedVersions" if name == "snapstart" else "None"
        assert function["SnapStart"] == {"ApplyOn": wanted}


@pytest.mark.parametrize(
    ("name", "security"),
    [("default", [{"apiKey": []}]), ("iam", [{"signature": []}]), ("open", [])],
)
def test_who_may_call_the_api(name: str, security: object, stacks: dict[str, Template]) -> None:
    body = properties(stacks[name], "EmbeddingsApi")["Body"]
    assert set(body["paths"]) == {"/", "/{proxy+}"}
    for methods in body["paths"].values():
        assert methods["x-amazon-apigateway-any-method"]["security"] == security
        # The preflight carries no key, and is answered without the function.
        assert "security" not in methods["options"]
        assert methods["options"]["x-amazon-apigateway-integration"]["type"] == "mock"
    assert ("ApiKey" in stacks[name]["Resources"]) == (name == "default")
    assert ("UsagePlanKey" in stacks[name]["Resources"]) == (name == "default")
    assert ("ApiKeyCommand" in stacks[name]["Outputs"]) == (name == "default")


def test_json_bodies_stay_text(stacks: dict[str, Template]) -> None:
    types = properties(stacks["default"], "EmbeddingsApi")["BinaryMediaTypes"]
    assert "image~1*" in types
    assert not {"*~1*", "*/*", "application~1*", "application~1json"} & set(types)


def test_the_function_url(stacks: dict[str, Template]) -> None:
    def kinds(name: str) -> set[str]:
        return {"Url", "UrlPermission", "UrlInvokePermission"} & set(stacks[name]["Resources"])

    assert kinds("default") == set()
    assert kinds("iam") == {"Url"}
    assert kinds("open") == {"Url", "UrlPermission", "UrlInvokePermission"}
    assert properties(stacks["iam"], "Url")["AuthType"] == "AWS_IAM"
    assert properties(stacks["open"], "Url")["AuthType"] == "NONE"


def test_a_canary_stops_at_alarms_and_every_roll_out_is_smoke_tested(
    stacks: dict[str, Template],
) -> None:
    for name, stack in stacks.items():
        group = properties(stack, "EmbedFunctionDeploymentGroup")
        alias = stack["Resources"]["EmbedFunctionAliaslive"]
        update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        assert update["BeforeAllowTrafficHook"] == {"Ref": "SmokeTest"}
        watched = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"].get("Alarms", [])}
        canary = {"ApiServerErrors", "ServiceErrors", "Throttles"}
        assert watched == (canary if name == "canary" else set())
    kinds = stacks["canary"]["Resources"].items()
    alarms = [n for n, resource in kinds if resource["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms) == 5
    for alarm in alarms:
        assert properties(stacks["canary"], alarm)["AlarmActions"] == [TOPIC]
        assert "AlarmActions" not in properties(stacks["default"], alarm)


def test_permissions_come_only_with_their_parameter(stacks: dict[str, Template]) -> None:
    def policies(name: str) -> list[str]:
        return [p["PolicyName"] for p in properties(stacks[name], "FunctionRole")["Policies"]]

    assert policies("default") == ["logs"]
    assert policies("rest") == ["logs", "traces", "pictures"]
    assert ("ApiLogAccount" in stacks["rest"]["Resources"]) is True
    assert ("ApiLogAccount" in stacks["default"]["Resources"]) is False


def test_both_environments_of_samconfig_hold_values_the_template_takes(source: Template) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    for environment in ("dev", "prod"):
        overrides = config[environment]["global"]["parameters"]["parameter_overrides"]
        values = dict(pair.split("=", 1) for pair in overrides)
        assert values
        assert complaints(source, values) == []


def test_the_page_names_every_parameter(source: Template) -> None:
    page = (ROOT / "docs" / "deploy-lambda.md").read_text()
    assert [name for name in source["Parameters"] if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", ["template.yaml", "samconfig.toml", "docs/deploy-lambda.md"])
def test_no_account_is_named(name: str) -> None:
    assert not re.findall(r"\b[0-9]{12}\b", Path(ROOT, name).read_text())
