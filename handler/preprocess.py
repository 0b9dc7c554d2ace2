"""PIL image + spec → float32 (3, height, width), equal to open_clip's inference transform.

The reference (open_clip/transform.py, torchvision's Resize and CenterCrop) resizes and crops
*first*, in the picture's own mode, and converts to RGB afterwards; converting first differs by up
to 30/255 on palette pictures. Every PIL call below is the one torchvision makes.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from handler.bundle import PreprocessSpec

_CROP_FIRST_ABOVE = 8_000_000
"""Pixels. A 1x5000 picture becomes 224x1,120,000 before its centre is cropped: above this size
only the part that survives the crop is resampled, with the same filter positions."""


def preprocess(image: Image.Image, spec: PreprocessSpec) -> NDArray[np.float32]:
    """Resize, crop, convert and normalise one loaded picture.

    Returns:
        float32 (3, spec.height, spec.width), C order.
    """
    match spec.resize_mode:
        case "squash":
            image = _resize(image, spec.width, spec.height, _filter(spec))
        case "longest":
            ratio = max(image.height / spec.height, image.width / spec.width)
            width, height = _kept_ratio(image, ratio)
            image = _pad(_resize(image, width, height, _filter(spec)), spec, spec.fill_color)
            image = _centre_crop(image, spec)
        case "shortest":
            image = _shortest(image, spec)
    return _normalise(np.asarray(image.convert("RGB")), spec)


def target_size(width: int, height: int, spec: PreprocessSpec) -> tuple[int, int]:
    """Return (width, height) a picture is resized to before it is cropped."""
    if spec.resize_mode == "squash":
        return spec.width, spec.height
    ratios = height / spec.height, width / spec.width
    ratio = max(ratios) if spec.resize_mode == "longest" else min(ratios)
    return max(round(width / ratio), 1), max(round(height / ratio), 1)


def _shortest(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    if spec.height == spec.width:
        short, long = sorted(image.size)
        grown = int(spec.height * long / short)  # torchvision truncates here, it does not round
        size = (spec.width, grown) if image.width <= image.height else (grown, spec.height)
        resample = _filter(spec)
    else:
        # The reference's non-square branch does not pass the interpolation on: always bicubic.
        size = _kept_ratio(image, min(image.height / spec.height, image.width / spec.width))
        resample = Image.Resampling.BICUBIC
    if size[0] * size[1] > _CROP_FIRST_ABOVE:
        return _resize_centre(image, size, spec, resample)
    return _centre_crop(_pad(_resize(image, *size, resample), spec, 0), spec)


def _resize_centre(
    image: Image.Image, size: tuple[int, int], spec: PreprocessSpec, resample: Image.Resampling
) -> Image.Image:
    """Resample only what the centre crop keeps of a picture resized to `size`."""
    left, top = _offset(size[0], spec.width), _offset(size[1], spec.height)
    scale_x, scale_y = image.width / size[0], image.height / size[1]
    box = (
        left * scale_x,
        top * scale_y,
        (left + spec.width) * scale_x,
        (top + spec.height) * scale_y,
    )
    return image.resize((spec.width, spec.height), resample, box=box)


def _kept_ratio(image: Image.Image, ratio: float) -> tuple[int, int]:
    return round(image.width / ratio), round(image.height / ratio)


def _resize(image: Image.Image, width: int, height: int, resample: Image.Resampling) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((max(width, 1), max(height, 1)), resample)


def _pad(image: Image.Image, spec: PreprocessSpec, fill: int) -> Image.Image:
    """Pad to at least the target, the odd pixel at the right and bottom."""
    wide, high = max(spec.width - image.width, 0), max(spec.height - image.height, 0)
    if not wide and not high:
        return image
    border = (wide // 2, high // 2, (wide + 1) // 2, (high + 1) // 2)
    bands = len(image.getbands())
    colour = fill if bands == 1 else (fill,) * bands
    padded = ImageOps.expand(image, border=border, fill=colour)
    if image.mode == "P" and (palette := image.getpalette()) is not None:
        padded.putpalette(palette)
    return padded


def _centre_crop(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    if image.size == (spec.width, spec.height):
        return image
    left, top = _offset(image.width, spec.width), _offset(image.height, spec.height)
    return image.crop((left, top, left + spec.width, top + spec.height))


def _offset(length: int, crop: int) -> int:
    return round((length - crop) / 2.0)  # half to even, as the reference


def _filter(spec: PreprocessSpec) -> Image.Resampling:
    bilinear = spec.interpolation == "bilinear"
    return Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC


def _normalise(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.float32]:
    table = _table(spec.mean, spec.std)
    out = np.empty((3, *pixels.shape[:2]), np.float32)
    for channel in range(3):
        np.take(table[channel], pixels[..., channel], out=out[channel], mode="clip")
    return out


@lru_cache(maxsize=8)
def _table(mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """Return float32 (3, 256): the normalised value of every byte, in the reference's order."""
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    return (scaled - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]
