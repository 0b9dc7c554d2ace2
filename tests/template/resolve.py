"""What CloudFormation does with parameters, rules and conditions, as far as a template needs it."""

import re
from typing import Any

from sam_cli import Template, Values

PSEUDO = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "stack",
    "AWS::URLSuffix": "amazonaws.com",
}
_GONE = object()  # what !Ref AWS::NoValue leaves


def with_defaults(template: Template, values: Values) -> Values:
    """Return a value for every parameter that has one, as text, which is how they compare."""
    parameters = template.get("Parameters", {})
    found = {name: str(p["Default"]) for name, p in parameters.items() if "Default" in p}
    return found | values


def complaints(template: Template, values: Values) -> list[str]:
    """Return the sentences CloudFormation refuses these values with: constraints, then Rules."""
    found = []
    for name, value in with_defaults(template, values).items():
        parameter = template["Parameters"].get(name)
        if parameter is None:
            found.append(f"{name} is not a parameter")
        elif not _allowed(parameter, value):
            found.append(f"{name} {parameter['ConstraintDescription']}")
    resolver = Resolver(template, values)
    for rule in template.get("Rules", {}).values():
        if resolver.truth(rule["RuleCondition"]):
            found += [
                assertion["AssertDescription"]
                for assertion in rule["Assertions"]
                if not resolver.truth(assertion["Assert"])
            ]
    return found


def _allowed(parameter: dict[str, Any], value: str) -> bool:
    if parameter["Type"] == "Number" and not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return False
    allowed = parameter.get("AllowedValues")
    return (
        (allowed is None or value in map(str, allowed))
        and len(value) >= parameter.get("MinLength", 0)
        and float(parameter.get("MinValue", "-inf")) <= _number(parameter, value)
        and float(parameter.get("MaxValue", "inf")) >= _number(parameter, value)
        and re.fullmatch(parameter.get("AllowedPattern", ".*"), value) is not None
    )


def _number(parameter: dict[str, Any], value: str) -> float:
    return float(value) if parameter["Type"] == "Number" else 0.0


def resolve(template: Template, values: Values) -> Template:
    """Return the template with parameters and conditions resolved; references to resources stay."""
    resolver = Resolver(template, values)
    found = {}
    for section in ("Resources", "Outputs"):
        kept = {
            name: resolver.value({k: v for k, v in entry.items() if k != "Condition"})
            for name, entry in template.get(section, {}).items()
            if "Condition" not in entry or resolver.condition(entry["Condition"])
        }
        found[section] = kept
    return found


class Resolver:
    """Evaluates intrinsic functions for one template and one set of values."""

    def __init__(self, template: Template, values: Values) -> None:
        self._conditions: dict[str, Any] = template.get("Conditions", {})
        self._known = PSEUDO | with_defaults(template, values)

    def condition(self, name: str) -> bool:
        return self.truth(self._conditions[name])

    def truth(self, node: Any) -> bool:
        """Evaluate a condition function."""
        [(function, argument)] = node.items()
        match function:
            case "Condition":
                return self.condition(argument)
            case "Fn::Equals":
                left, right = (str(self.value(side)) for side in argument)
                return left == right
            case "Fn::Not":
                return not self.truth(argument[0])
            case "Fn::And":
                return all(map(self.truth, argument))
            case "Fn::Or":
                return any(map(self.truth, argument))
        raise NotImplementedError(function)

    def value(self, node: Any) -> Any:
        """Resolve everything below a node."""
        if isinstance(node, list):
            return [found for item in node if (found := self.value(item)) is not _GONE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, argument)] = node.items()
            if function == "Ref":
                return _GONE if argument == "AWS::NoValue" else self._known.get(argument, node)
            if function == "Fn::If":
                return self.value(argument[1 if self.condition(argument[0]) else 2])
            if function == "Fn::Sub" and isinstance(argument, str):
                return self._substituted(argument)
        found = {key: self.value(value) for key, value in node.items()}
        return {key: value for key, value in found.items() if value is not _GONE}

    def _substituted(self, text: str) -> Any:
        done = re.sub(r"\$\{([\w:]+)\}", lambda m: self._known.get(m[1], m[0]), text)
        return {"Fn::Sub": done} if "${" in done else done
