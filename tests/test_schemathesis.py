"""What /openapi.json allows is accepted, what it forbids is refused, and answers are as it says.

The app is made where the tests are collected, since schemathesis makes one of every operation.
"""

import base64
import itertools
from typing import Any

import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pictures import picture
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import negative_data_rejection
from schemathesis.transport.serialization import Binary

from handler.app import create_app
from handler.bundle import open_bundle
from handler.embedder import Embedder
from handler.locate import SHIPPED
from handler.settings import Settings

PICTURES = [picture(size=(5, 4)), picture("P", (7, 9), "GIF"), picture("L", (4, 3), "JPEG")]
TEXTS = [base64.b64encode(data).decode() for data in PICTURES]

# No random string is a picture: data that ought to be accepted has to be drawn from real ones.
schemathesis.openapi.format(
    "picture", st.sampled_from([*TEXTS, "data:image/gif;base64," + TEXTS[1]])
)
schemathesis.openapi.media_type("image/*", st.sampled_from(PICTURES))


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Put real files into forms, likewise."""
    if isinstance(body, dict) and isinstance(body.get("image"), list):
        files = zip(body["image"], itertools.cycle(PICTURES), strict=False)
        body["image"] = [file if isinstance(old, bytes | Binary) else old for old, file in files]
    return body


# Small limits make small requests; 18 characters are never more tokens than the context has.
SETTINGS = Settings(model_name="shapes-tiny", max_items=12, max_text_chars=18)
MODEL = Embedder(open_bundle(SHIPPED), SETTINGS)
CONFIGURATION = {
    "generation": {"deterministic": True},
    # It would send words of the program's own source as pictures, whatever the format.
    "analysis": {"constants": {"enabled": False}},
    "checks": {
        # A limit that is passed is a 413 here, which schemathesis does not count as a refusal.
        "negative_data_rejection": {"expected-statuses": ["400", "404", "413", "415", "422"]},
        # One limit holds for two lists together (text and image, queries and candidates, labels
        # times templates), which JSON Schema cannot say.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "413"]},
    },
}

app = create_app(lambda: MODEL, SETTINGS, lambda record: None)
schema = schemathesis.openapi.from_asgi(
    "/openapi.json", app, config=SchemathesisConfig.from_dict(CONFIGURATION)
)


@schema.parametrize()
@hypothesis_settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_api(case: schemathesis.Case[Any]) -> None:
    # A form has no types: the number 5 in it is the text "5", which no server can refuse. And with
    # `errors: item` what is wrong with an item is told in the answer instead of refusing it.
    form = case.media_type == "multipart/form-data"
    lenient = form or (isinstance(case.body, dict) and case.body.get("errors") == "item")
    case.call_and_validate(excluded_checks=[negative_data_rejection] if lenient else [])
