"""Make `import torchvision` work beside a CPU-only torch.

The torchvision wheels on the usual package index are linked against the CUDA build of torch. Next
to a CPU build their operator library cannot be loaded, so the operators it would have declared do
not exist, and torchvision stops half way through its own import when it attaches shape functions
to two of them. Nothing in image preprocessing calls these operators; declaring their signatures is
enough for the import to finish.
"""

import importlib
import sys
from typing import Final

import torch

_MISSING: Final = "operator torchvision::nms does not exist"
_ARGUMENTS: Final = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# A Library object withdraws its declarations when it is collected, so this list keeps it alive.
_DECLARED: Final[list[torch.library.Library]] = []


def ensure_torchvision() -> None:
    """Import torchvision, declaring its absent operators when its own library does not load.

    Call it before the first `import open_clip`. It changes nothing where torchvision imports as
    it is, and may be called again at no cost. Raises ImportError when torchvision is not
    installed, and RuntimeError when its import fails for any other reason than the one above.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if _MISSING not in str(error):
            raise
    else:
        return
    if not _DECLARED:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            library.define(name + _ARGUMENTS)  # type: ignore[no-untyped-call]
        _DECLARED.append(library)
    # The failed import leaves finished submodules behind; a second import must start from none.
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
    importlib.import_module("torchvision")
