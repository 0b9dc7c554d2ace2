"""infra/sagemaker.yaml, checked by SAM, by cfn-lint, by our rules, and by what it promises."""

import re
from typing import Any

import pytest
import rules
import sagemaker_rules
from resolve import complaints
from sagemaker_stacks import COMBINATIONS, IMAGE, TEMPLATE, TOPIC, given, properties, translations
from sam_cli import ROOT, Template, Values, translate, validate

RULES = [*rules.ALL, *sagemaker_rules.ALL]


@pytest.fixture(scope="module")
def source() -> Template:
    return translations()[0]


@pytest.fixture(scope="module")
def stacks() -> dict[str, Template]:
    return translations()[1]


def test_sam_and_its_linter_accept_it() -> None:
    result = validate(TEMPLATE)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "is a valid SAM Template" in result.stdout


@pytest.mark.parametrize("name", COMBINATIONS)
def test_every_combination_passes_our_rules(
    name: str, source: Template, stacks: dict[str, Template]
) -> None:
    assert complaints(source, given(name)) == []
    assert [sentence for rule in RULES for sentence in rule(stacks[name])] == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"MinInstances": "0"}, "Only Mode=components scales to zero"),
        ({"Deployment": "Canary"}, "Deployment=Canary needs MinInstances of 2 or more"),
        ({"ModelBucket": "models"}, "give both or neither"),
        ({"ModelKey": "model.tar.gz"}, "give both or neither"),
        ({"ImageHosts": "shop.example"}, "set NetworkIsolation=false"),
        ({"ImageBucket": "pictures"}, "set NetworkIsolation=false"),
        ({"InstanceType": "ml.m5.xlarge"}, "must be an instance type with one GPU"),
        ({"InferenceAmi": "al2-ami-sagemaker-inference-neuron-2"}, "the driver"),
        ({"StartupSeconds": "481"}, "StartupSeconds must be 60 to 480 seconds"),
        ({"RequestSeconds": "61"}, "RequestSeconds must be 1 to 60 seconds"),
        ({"JobsMaxBytes": "2000000000"}, "JobsMaxBytes must be"),
        ({"EndpointName": "OpenCLIP"}, "lower-case"),
        ({"EndpointName": "a" * 42}, "EndpointName must be 1 to 41"),
        ({"ImageTag": ""}, "ImageTag must be a tag"),
        ({"Mode": "serverless"}, "Mode must be realtime"),
        ({"Precision": "int8"}, "Precision must be f32"),
    ],
)
def test_a_wrong_value_gives_a_sentence(source: Template, values: Values, sentence: str) -> None:
    assert [found for found in complaints(source, IMAGE | values) if sentence in found]


def test_every_parameter_says_what_it_is_and_what_it_takes(source: Template) -> None:
    limits = {"AllowedValues", "AllowedPattern", "MinValue", "MaxValue", "MinLength"}
    for name, parameter in source["Parameters"].items():
        assert parameter["Description"], name
        if limits & parameter.keys():
            assert parameter["ConstraintDescription"].startswith("must "), name


def test_the_front_door_is_the_lambda_stacks(source: Template) -> None:
    front, _ = translate(ROOT / "template.yaml", [])
    shared = ["ApiAuth", "StageName", "RateLimit", "BurstLimit", "QuotaPerMonth", "AccessLogs"]
    for name in [*shared, "Tracing", "LogRetentionDays", "AlarmTopicArn"]:
        assert source["Parameters"][name] == front["Parameters"][name], name
    mine, theirs = (stack["Resources"]["EmbeddingsApi"] for stack in (source, front))
    assert "ProxyFunction.Arn" in str(mine)
    same = str(mine).replace("${ProxyFunction.Arn}", "${EmbedFunction.Arn}:live")
    assert same == str(theirs)


KINDS = {
    "default": {"Model", "EndpointConfig", "Endpoint", "EndpointTarget", "EndpointScaling"},
    "zero": {"Component", "ComponentTarget", "ComponentScaling", "ComponentStart", "Endpoint"},
    "components": {"Component", "ComponentTarget", "ComponentScaling", "Endpoint"},
    "async": {"JobsEndpoint", "JobsTarget", "JobsScaling", "JobsStart", "JobsBucket"},
    "jobs": {"Endpoint", "EndpointTarget", "JobsEndpoint", "JobsStart", "JobsDone"},
}


@pytest.mark.parametrize("name", KINDS)
def test_each_mode_has_its_own_resources(name: str, stacks: dict[str, Template]) -> None:
    there = stacks[name]["Resources"].keys()
    assert KINDS[name] <= there
    only = {"Component", "ComponentTarget", "ComponentStart", "JobsEndpoint", "Endpoint"}
    assert {kind for kind in only - KINDS[name] if kind in there} == set()


def test_the_proxy_knows_the_endpoints_that_there_are(stacks: dict[str, Template]) -> None:
    def variables(name: str) -> set[str]:
        found = properties(stacks[name], "ProxyFunction")["Environment"]["Variables"]
        return set(found)

    jobs = {"JOBS_ENDPOINT", "JOBS_BUCKET", "JOBS_MAX_BYTES"}
    assert variables("default") == {"ENDPOINT"}
    assert variables("zero") == {"ENDPOINT", "INFERENCE_COMPONENT"}
    assert variables("jobs") == {"ENDPOINT"} | jobs
    assert variables("async") == jobs


def test_permissions_come_only_with_what_needs_them(stacks: dict[str, Template]) -> None:
    def policies(name: str, role: str) -> list[str]:
        return [p["PolicyName"] for p in properties(stacks[name], role)["Policies"]]

    assert policies("default", "ExecutionRole") == ["image", "metrics", "logs"]
    assert policies("async", "ExecutionRole") == ["image", "metrics", "jobs"]
    assert policies("zero", "ExecutionRole") == ["image", "metrics", "logs", "component-logs"]
    rest = ["image", "metrics", "logs", "archive", "pictures"]
    assert policies("rest", "ExecutionRole") == rest
    assert policies("jobs", "ExecutionRole") == ["image", "metrics", "logs", "jobs", "key"]
    assert policies("default", "ProxyRole") == ["logs", "requests"]
    assert policies("async", "ProxyRole") == ["logs", "jobs"]
    archive = properties(stacks["rest"], "ExecutionRole")["Policies"][3]["PolicyDocument"]
    assert archive["Statement"][0]["Resource"] == "arn:aws:s3:::models/clip/model.tar.gz"


def test_scaling_is_on_the_requests_at_work(stacks: dict[str, Template]) -> None:
    for name, policy, metric in (
        ("default", "EndpointScaling", "SageMakerVariantConcurrentRequestsPerModelHighResolution"),
        (
            "zero",
            "ComponentScaling",
            "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution",
        ),
    ):
        tracking = properties(stacks[name], policy)["TargetTrackingScalingPolicyConfiguration"]
        assert tracking["PredefinedMetricSpecification"] == {"PredefinedMetricType": metric}
        assert tracking["TargetValue"] == "48"
    target = properties(stacks["components"], "ComponentTarget")
    assert (target["MinCapacity"], target["MaxCapacity"]) == ("2", "4")


def test_a_version_that_answers_errors_is_rolled_back(stacks: dict[str, Template]) -> None:
    def deployment(name: str) -> Any:
        return properties(stacks[name], "Endpoint").get("DeploymentConfig")

    routing = "TrafficRoutingConfiguration"
    assert deployment("canary")["BlueGreenUpdatePolicy"][routing]["Type"] == "CANARY"
    assert deployment("default")["BlueGreenUpdatePolicy"][routing] == {"Type": "ALL_AT_ONCE"}
    rollback = deployment("canary")["AutoRollbackConfiguration"]
    assert rollback == {"Alarms": [{"AlarmName": {"Ref": "EndpointErrors"}}]}
    assert deployment("zero") is None


def test_alarms_tell_the_topic_and_starters_start(stacks: dict[str, Template]) -> None:
    for name, told in (("jobs", True), ("default", False)):
        for alarm, resource in stacks[name]["Resources"].items():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                actions = resource["Properties"].get("AlarmActions")
                starter = alarm.endswith("Asked")
                assert actions == ([{"Ref": "JobsStart"}] if starter else [TOPIC] if told else None)


def test_jobs_are_private_encrypted_and_forgotten(stacks: dict[str, Template]) -> None:
    bucket = properties(stacks["jobs"], "JobsBucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    [rule] = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == "7"
    for name, algorithm in (("jobs", "aws:kms"), ("async", "AES256")):
        [encryption] = properties(stacks[name], "JobsBucket")["BucketEncryption"].values()
        assert encryption[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm


def test_the_image_is_named_by_tag_in_this_account(stacks: dict[str, Template]) -> None:
    container = properties(stacks["default"], "Model")["PrimaryContainer"]
    assert container["Image"] == "111122223333.dkr.ecr.us-east-1.amazonaws.com/openclip:4f2a9c1"
    assert "ModelDataUrl" not in container
    rest = properties(stacks["rest"], "Model")["PrimaryContainer"]
    assert rest["ModelDataUrl"] == "s3://models/clip/model.tar.gz"


def test_no_account_is_named() -> None:
    assert not re.findall(r"\b[0-9]{12}\b", TEMPLATE.read_text())


def test_the_page_names_every_parameter(source: Template) -> None:
    page = (ROOT / "docs" / "deploy-sagemaker.md").read_text()
    front = (ROOT / "docs" / "deploy-lambda.md").read_text()
    missing = [name for name in source["Parameters"] if f"`{name}`" not in page + front]
    assert missing == []
