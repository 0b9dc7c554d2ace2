"""open_clip's inference transform beside ours, for one `PreprocessSpec`."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handler.bake.checkpoint import open_clip
from handler.bundle import PreprocessSpec
from handler.images import load_image
from handler.preprocess import preprocess


def spec(
    mode: str = "shortest",
    size: tuple[int, int] = (64, 64),
    filter_name: str = "bicubic",
    fill: int = 0,
) -> PreprocessSpec:
    """Return a spec of (height, width) `size`, with CLIP's mean and deviation."""
    return PreprocessSpec.model_validate(
        {
            "height": size[0],
            "width": size[1],
            "resize_mode": mode,
            "interpolation": filter_name,
            "mean": (0.48145466, 0.4578275, 0.40821073),
            "std": (0.26862954, 0.26130258, 0.27577711),
            "fill_color": fill,
        }
    )


def reference_pixels(image: Image.Image, wanted: PreprocessSpec) -> NDArray[np.float32]:
    """Return what open_clip makes of an opened picture."""
    square = wanted.height == wanted.width
    config = open_clip.transform.PreprocessCfg(
        size=wanted.height if square else (wanted.height, wanted.width),
        mean=wanted.mean,
        std=wanted.std,
        interpolation=wanted.interpolation,
        resize_mode=wanted.resize_mode,
        fill_color=wanted.fill_color,
    )
    transform = open_clip.transform.image_transform_v2(config, is_train=False)
    with warnings.catch_warnings():
        # Pillow's advice about palettes with transparency is for whoever converts them to RGB.
        warnings.filterwarnings("ignore", "Palette images with Transparency", UserWarning)
        pixels: NDArray[np.float32] = transform(image).numpy()
    return pixels


def open_picture(data: bytes) -> Image.Image:
    """Open a picture as open_clip's users do."""
    return Image.open(io.BytesIO(data))


def our_pixels(data: bytes, wanted: PreprocessSpec) -> NDArray[np.float32]:
    """Return what this project makes of a picture file at default options."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Palette images with Transparency", UserWarning)
        return preprocess(load_image(data, "image", max_pixels=100_000_000), wanted)
