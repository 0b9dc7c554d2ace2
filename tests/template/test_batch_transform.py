"""infra/batch-transform/template.yaml: the linter, our rules, what `openclip transform` sends."""

from typing import Any

import pytest
import rules
import sagemaker_rules
from resolve import complaints, resolve
from sam_cli import ROOT, Template, Values, translate, validate

from handler.transform import Transform

TEMPLATE = ROOT / "infra" / "batch-transform" / "template.yaml"
GIVEN: Values = {
    "ImageRepository": "openclip",
    "ImageTag": "4f2a9c1",
    "InputBucket": "texts",
    "OutputBucket": "vectors",
}
COMBINATIONS: dict[str, Values] = {
    "default": {},
    "rest": {
        "JobPrefix": "shop",
        "ModelBucket": "models",
        "ModelKey": "clip.tar.gz",
        "KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012",
        "JobLogs": "create",
    },
}


@pytest.fixture(scope="module")
def source() -> Template:
    return translate(TEMPLATE, [])[0]


def stack(source: Template, name: str) -> Template:
    return resolve(source, GIVEN | COMBINATIONS[name])


def statements(found: Template) -> list[dict[str, Any]]:
    policies = found["Resources"]["ExecutionRole"]["Properties"]["Policies"]
    return [s for policy in policies for s in policy["PolicyDocument"]["Statement"]]


def test_the_linter_accepts_it() -> None:
    result = validate(TEMPLATE)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", COMBINATIONS)
def test_every_combination_passes_our_rules(name: str, source: Template) -> None:
    assert complaints(source, GIVEN | COMBINATIONS[name]) == []
    checks = [*rules.ALL, *sagemaker_rules.ALL]
    assert [sentence for rule in checks for sentence in rule(stack(source, name))] == []


def test_half_an_archive_is_refused(source: Template) -> None:
    [found] = complaints(source, GIVEN | {"ModelKey": "clip.tar.gz"})
    assert "give both or neither" in found


def test_the_role_reads_lines_and_writes_vectors_and_no_more(source: Template) -> None:
    allowed = {
        (action, str(statement["Resource"]))
        for statement in statements(stack(source, "default"))
        for action in rules.as_list(statement["Action"])
        if action.startswith("s3:")
    }
    assert allowed == {
        ("s3:GetObject", "arn:aws:s3:::texts/in/*"),
        ("s3:ListBucket", "arn:aws:s3:::texts"),
        ("s3:AbortMultipartUpload", "arn:aws:s3:::vectors/out/*"),
        ("s3:PutObject", "arn:aws:s3:::vectors/out/*"),
    }
    assert "kms:Decrypt" in str(statements(stack(source, "rest")))
    assert "arn:aws:s3:::models/clip.tar.gz" in str(statements(stack(source, "rest")))


def test_the_printed_command_is_one_the_command_line_takes(source: Template) -> None:
    for name in COMBINATIONS:
        found = stack(source, name)
        command = found["Outputs"]["Command"]["Value"]["Fn::Sub"].split()
        options = dict(zip(command[2:-1:2], command[3::2], strict=True))
        call = Transform(
            name=options["--name"],
            model="clip",
            source=options["--input"],
            target=options["--output"],
        ).call()
        prefix = found["Resources"]["JobsPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
        assert prefix["Resource"].endswith(f"{call['TransformJobName'].removesuffix('1')}*")
        assert command[-1] == "--wait"


def test_the_page_names_every_parameter(source: Template) -> None:
    page = (ROOT / "docs" / "deploy-sagemaker.md").read_text()
    assert [name for name in source["Parameters"] if f"`{name}`" not in page] == []
