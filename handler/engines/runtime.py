"""The `openvino` package without its converter.

Importing it imports the converter too, which takes 60 ms and sends a usage event to an analytics
service. Serving never converts, and the package tolerates the converter's absence.
"""

import sys

sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

__all__ = ["openvino"]
