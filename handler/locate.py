"""Which bundle answers: the one named, the one shipped, the one cached, or one baked now."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Final

from handler.bundle import FORMAT, Bundle, open_bundle
from handler.errors import SetupError
from handler.settings import SHIPPED_MODEL, Settings

SHIPPED = Path(__file__).parent / "bundles" / SHIPPED_MODEL
_LOCAL: Final = "local-dir:"
_WEIGHTS: Final = (".safetensors", ".bin", ".pth")
"""What open_clip looks for in a folder."""


def find_bundle(settings: Settings) -> Bundle | None:
    """Return the bundle these settings select, or None where it has still to be baked.

    Raises:
        SetupError: a bundle is there and cannot be read.
    """
    settings = _mounted(settings)
    if settings.bundle_dir is not None:
        return open_bundle(settings.bundle_dir)
    if settings.model_name == SHIPPED_MODEL and settings.engine == "openvino":
        return open_bundle(SHIPPED)
    path = cached_path(settings)
    return open_bundle(path) if (path / "manifest.json").exists() else None


def find_or_bake(settings: Settings) -> Bundle:
    """Return the bundle these settings select; bake it into the cache once if need be.

    Raises:
        SetupError: it has to be baked and cannot be; the message says what to install or set.
    """
    found = find_bundle(settings)
    if found is not None:
        return found
    settings = _mounted(settings)
    name, pretrained, model_id = settings.identity()
    missing = [m for m in ("torch", "open_clip") if importlib.util.find_spec(m) is None]
    if missing:
        raise SetupError(
            f"there is no bundle for MODEL_NAME={name} MODEL_PRETRAINED={pretrained or '-'} in "
            f"{settings.openclip_cache.expanduser()}, and baking one needs "
            f"{' and '.join(missing)}: "
            'pip install "openclip-serverless[bake]", or set BUNDLE_DIR to a baked bundle, or '
            f"MODEL_NAME={SHIPPED_MODEL} for the small model that is included"
        )
    from handler.bake import BakeRequest, bake

    path = cached_path(settings)
    bake(
        BakeRequest(
            model=name,
            pretrained=pretrained,
            model_id=model_id,
            revision=settings.model_revision or None,
            engine=settings.engine,
            out=path,
        )
    )
    return open_bundle(path)


def cached_path(settings: Settings) -> Path:
    """Return where the cache keeps the bundle these settings select."""
    name, pretrained, model_id = settings.identity()
    key = [str(FORMAT), name, pretrained, model_id, settings.model_revision, settings.engine]
    files = [Path(pretrained)] if pretrained else []
    if name.startswith(_LOCAL):
        files = sorted(Path(name.removeprefix(_LOCAL)).glob("*"))
    for file in filter(Path.is_file, files):  # another file under the same name is another model
        stat = file.stat()
        key += [str(file.resolve()), str(stat.st_size), str(stat.st_mtime_ns)]
    digest = hashlib.sha256("\n".join(key).encode()).hexdigest()[:8]
    label = "".join(c if c.isalnum() or c in "-._" else "-" for c in model_id)
    return settings.openclip_cache.expanduser() / f"{label}-{settings.engine}-{digest}"


def _mounted(settings: Settings) -> Settings:
    """Return the settings with what MODEL_DIR holds put in the place of BUNDLE_DIR or MODEL_NAME.

    Raises:
        SetupError: it holds something else.
    """
    folder = settings.model_dir
    if folder is None or not folder.is_dir() or not any(folder.iterdir()):
        return settings
    if (folder / "manifest.json").is_file():
        return settings.model_copy(update={"bundle_dir": folder})
    weights = [file for suffix in _WEIGHTS for file in folder.glob(f"*{suffix}")]
    if weights and (folder / "open_clip_config.json").is_file():
        found = {"model_name": f"{_LOCAL}{folder}", "model_pretrained": "", "bundle_dir": None}
        return settings.model_copy(update=found)
    raise SetupError(
        f"MODEL_DIR={folder} holds neither a bundle (manifest.json) nor an open_clip checkpoint "
        f"(open_clip_config.json beside a file *{', *'.join(_WEIGHTS)})"
    )
