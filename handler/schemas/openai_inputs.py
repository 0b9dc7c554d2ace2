"""What `input` and `messages` of an OpenAI request may hold, pictures in the forms in use.

`"modality": "image"` with strings (infinity); `data:image/…;base64,` among the strings (NVIDIA
NIM); objects with `text` or `image` (Jina); `messages` with image_url parts (vLLM).
"""

import re
from typing import Any

from handler.errors import InvalidRequest, ServiceError
from handler.items import Asked
from handler.schemas.fields import check_count, choice, each, kind, picture, text, wrong
from handler.schemas.native import one_item
from handler.schemas.parts import one_part, parts
from handler.settings import Settings

_PICTURE = re.compile(r"data:image/[\w.+-]{1,64};base64,", re.IGNORECASE)
_NOTE = "; OpenAI's own limit of 2,048 does not hold here"


def read_input(fields: dict[str, Any], settings: Settings) -> list[Asked]:
    """Read `input`: a string, or a list of strings and of {"text": …} and {"image": …}.

    Raises:
        InvalidRequest: it is something else; token ids are told apart.
    """
    modality = choice(fields, "modality", ("text", "image"), None)
    value = fields["input"]
    if isinstance(value, str):
        return [_string(value, "input", modality, settings)]
    if not isinstance(value, list):
        raise wrong("input", value, "a string or a list of strings")
    if not value:
        raise _empty("input")
    if _is_number(value[0]) or (isinstance(value[0], list) and all(map(_is_number, value[0]))):
        raise _token_ids()
    check_count(len(value), "input", settings.max_items, _NOTE)

    def one(item: object, name: str, settings: Settings) -> Asked:
        if isinstance(item, str):
            return _string(item, name, modality, settings)
        if not isinstance(item, dict):
            raise wrong(name, item, 'a string or an object with "text" or "image"')
        return one_item(item, name, settings)

    named = [(f"input[{index}]", item) for index, item in enumerate(value)]
    return each(named, one, settings)


def read_messages(fields: dict[str, Any], settings: Settings) -> list[Asked]:
    """Read the texts and pictures of a chat's user messages, all of which become one vector.

    Raises:
        InvalidRequest: another role: this model has no chat template to put its words into.
    """
    value = fields["messages"]
    if not isinstance(value, list):
        raise wrong("messages", value, "a list of messages")
    if not value:
        raise _empty("messages")
    named: list[tuple[str, Any]] = []
    texts: set[str] = set()
    for index, message in enumerate(value):
        name = f"messages[{index}]"
        if not isinstance(message, dict):
            raise wrong(name, message, 'an object with "role" and "content"')
        if (role := message.get("role")) != "user":
            raise InvalidRequest(
                f"{name}.role is {kind(role)}; only messages of the role 'user' are embedded",
                field=f"{name}.role",
            )
        content, name = message.get("content"), f"{name}.content"
        if isinstance(content, str):
            texts.add(name)
            named.append((name, content))
        else:
            named += parts(content, name)
    check_count(len(named), "messages", settings.max_items)

    def one(item: Any, name: str, settings: Settings) -> Asked:
        return (text if name in texts else one_part)(item, name, settings)

    return each(named, one, settings)


def _string(value: str, name: str, modality: str | None, settings: Settings) -> Asked:
    if modality == "image" or (modality is None and _PICTURE.match(value)):
        return picture(value, name, settings)
    return text(value, name, settings)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _empty(name: str) -> ServiceError:
    return InvalidRequest(f"{name} is empty", field=name, code="nothing_to_embed")


def _token_ids() -> ServiceError:
    return InvalidRequest(
        "input holds token ids, which are another model's; send strings. In LangChain set "
        "OpenAIEmbeddings(check_embedding_ctx_length=False)",
        field="input",
        code="token_ids_refused",
    )
