"""The function's entry; clients are made once, with the environment Lambda starts."""

import os
from typing import Any

from proxy.routes import Proxy

_proxy = Proxy(os.environ)


def handler(event: object, _context: object) -> dict[str, Any]:
    """Answer one Lambda event."""
    return _proxy(event)
