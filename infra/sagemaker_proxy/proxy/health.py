"""GET /health: what SageMaker says of the endpoints, without waking a GPU."""

from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from proxy.answers import Answer, Refusal, dumps
from proxy.forward import STARTING_SECONDS

_SERVING: Final = ("InService", "Updating", "SystemUpdating", "RollingBack")


def health(control: Any, endpoint: str, jobs_endpoint: str) -> Answer:
    """Return 200 when requests are answered: by instances at work, or jobs by some that will be.

    Raises:
        Refusal: SageMaker does not tell.
    """
    try:
        found = {
            what: _described(control, name)
            for what, name in (("endpoint", endpoint), ("jobs", jobs_endpoint))
            if name
        }
    except (BotoCoreError, ClientError):
        text = "SageMaker does not tell how the endpoint is"
        raise Refusal(503, "status_unknown", text, retry_after=5) from None
    states = {what: _state(what, **told) for what, told in found.items()}
    status = states.get("endpoint", states.get("jobs", "absent"))
    well = status in ("ok", "idle")
    headers = {} if well else {"retry-after": str(STARTING_SECONDS)}
    return Answer(200 if well else 503, dumps({"status": status, **found}), headers=headers)


def _described(control: Any, name: str) -> dict[str, Any]:
    answer = control.describe_endpoint(EndpointName=name)
    variants = answer.get("ProductionVariants", [])
    instances = sum(variant.get("CurrentInstanceCount", 0) for variant in variants)
    return {"name": name, "status": answer["EndpointStatus"], "instances": instances}


def _state(what: str, *, name: str, status: str, instances: int) -> str:
    del name
    if status not in _SERVING:
        return status.lower()
    if instances:
        return "ok"
    return "idle" if what == "jobs" else "scaled_to_zero"
