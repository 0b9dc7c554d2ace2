"""Build time: a checkpoint becomes a bundle, checked against open_clip; nothing of this serves.

checkpoint.py  open_clip's own loading: tag, file, hub or folder → model
tokenizer.py   its tokenizer → a file that runs without torch
export.py      its towers → OpenVINO IR
selfcheck.py   the finished folder, through the runtime path, against open_clip
baker.py       these four in order, in a temporary folder that is renamed at the end
"""

from handler.bake.baker import BakeRequest, bake

__all__ = ["BakeRequest", "bake"]
