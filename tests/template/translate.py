"""Run by the SAM CLI's own Python: prints [template, [translated for each set of values, ...]]."""

import json
import sys
from pathlib import Path

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse


class NoManagedPolicies:
    """The real loader asks IAM; this template names no policy that would need it."""

    def load(self) -> dict[str, str]:
        return {}


def main(path: str, combinations: str) -> None:
    text = Path(path).read_text()
    translated = []
    for values in json.loads(combinations):
        validator = SamTemplateValidator(
            yaml_parse(text), NoManagedPolicies(), region="us-east-1", parameter_overrides=values
        )
        translated.append(yaml_parse(validator.get_translated_template_if_valid()))
    json.dump([yaml_parse(text), translated], sys.stdout, default=str)


if __name__ == "__main__":
    main(*sys.argv[1:])
