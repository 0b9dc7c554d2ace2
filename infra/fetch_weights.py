"""Download one model's weights into the hub cache: an image layer of its own, before our code.

Does nothing for what is not on the hub: the shipped model, a local folder, a checkpoint file.
"""

import os
import sys
from pathlib import Path

from torchvision_ops import ensure_torchvision

ensure_torchvision()

import open_clip  # noqa: E402
from open_clip.pretrained import download_pretrained_from_hf, get_pretrained_cfg  # noqa: E402


def main(name: str, pretrained: str, revision: str | None) -> None:
    """Download, or say why there is nothing to download."""
    if name.startswith("hf-hub:"):
        from huggingface_hub import snapshot_download

        snapshot_download(name.removeprefix("hf-hub:"), revision=revision)
        return
    tag = get_pretrained_cfg(name, pretrained) if pretrained else {}
    if not tag:
        print(f"{name} {pretrained}: nothing to download from the hub")
        return
    repo, _, filename = tag["hf_hub"].rpartition("/")
    print(download_pretrained_from_hf(repo, filename=filename or None, revision=revision))
    if open_clip.get_model_config(name)["text_cfg"].get("hf_tokenizer_name"):
        open_clip.get_tokenizer(name)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(
        os.environ["MODEL_NAME"],
        os.environ.get("MODEL_PRETRAINED", ""),
        os.environ.get("MODEL_REVISION") or None,
    )
