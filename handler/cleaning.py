"""The text cleaning open_clip does before tokenising (open_clip/tokenizer.py, `get_clean_fn`)."""

import html
import re
import string
from collections.abc import Callable

_PLAIN = re.compile(r"[\t\n\x20-\x25\x27-\x7e]*\Z")
"""Printable ASCII without '&': ftfy and HTML unescaping leave it as it is, so neither has to be
imported (ftfy takes 50 ms) for an ordinary text."""

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def cleaner(kind: str) -> Callable[[str], str]:
    """Return the cleaning function of open_clip's name `kind`."""
    match kind:
        case "lower":
            return lambda text: _collapse(_fix(text)).lower()
        case "whitespace":
            return lambda text: _collapse(_fix(text))
        case "canonicalize":
            return lambda text: _canonicalize(_fix(text))
    raise ValueError(f"unknown cleaning {kind!r}")


def _fix(text: str) -> str:
    if _PLAIN.match(text):
        return text
    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(text)))


def _collapse(text: str) -> str:
    return " ".join(text.split())


def _canonicalize(text: str) -> str:
    return _collapse(text.replace("_", " ").translate(_NO_PUNCTUATION).lower())
