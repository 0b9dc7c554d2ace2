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
from handler.errors import InvalidRequest

_CROP_FIRST_ABOVE = 8_000_000
"""Pixels. A 1x5000 picture becomes 224x1,120,000 before its centre is cropped: above this size
only the part that survives the crop is resampled, with the same filter positions."""
_ADDED_UP_TO = 16_000_000
"""Pixels; beyond them no machine's memory holds the reference's result to compare with."""


def preprocess(
    image: Image.Image, spec: PreprocessSpec, field: str = "image"
) -> NDArray[np.float32]:
    """Resize, crop, convert and normalise one loaded picture.

    Returns:
        float32 (3, spec.height, spec.width), C order.

    Raises:
        InvalidRequest: a picture so thin that nothing is left of it; the reference fails too.
    """
    match spec.resize_mode:
        case "squash":
            image = _resize(image, spec.width, spec.height, _filter(spec))
        case "longest":
            ratio = max(image.height / spec.height, image.width / spec.width)
            width, height = _kept_ratio(image, ratio)
            if not width or not height:
                raise InvalidRequest(
                    f"{field} is {image.width} x {image.height}: too thin to be fitted whole into "
                    f"the model's {spec.width} x {spec.height}",
                    field=field,
                    code="image_too_thin",
                )
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
    """Resample only what the centre crop keeps of a picture resized to `size`, equal to doing both.

    Along the axis that is cropped this is Pillow's own arithmetic in NumPy. Its `box` would not
    do: it is held in float32, and its shape sways Pillow's choice which axis goes first.
    """
    tall = size[1] > spec.height
    axis = 1 if tall else 0
    length, resized, kept = image.size[axis], size[axis], (spec.width, spec.height)[axis]
    if image.mode in ("1", "P"):
        resample = Image.Resampling.NEAREST
    at, weights = _taps(_offset(resized, kept), kept, length, resized, resample)
    start, end = int(at.min()), int(at.max()) + 1
    # Pillow resamples rows first, except in a picture like a ribbon that gets shorter.
    long_first = not tall or (length > 100 * image.width and resized < length)
    mode = image.mode
    image = image.crop((0, start, image.width, end) if tall else (start, 0, end, image.height))
    # Pillow weighs colours by their alpha. Pixels of the last two are picked, never mixed.
    mixed = {"LA": "La", "RGBA": "RGBa", "1": "RGB", "P": "RGB"}
    if mode in mixed:
        image = image.convert(mixed[mode])
    if long_first:
        image = _weigh(image, axis, at - start, weights)
    image = image.resize(
        (spec.width, image.height) if tall else (image.width, spec.height), resample
    )
    if not long_first:
        image = _weigh(image, axis, at - start, weights)
    return image.convert(mode) if mode in ("LA", "RGBA") else image


def _taps(
    first: int, kept: int, length: int, resized: int, resample: Image.Resampling
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return int64 and float64 (kept, k): source positions and weights, as Pillow computes them.

    They are those of the pixels from `first` on, of an axis of `length` pixels that is `resized`.
    """
    scale = length / resized
    if resample == Image.Resampling.NEAREST:
        if first < _ADDED_UP_TO:  # Pillow adds up, and so do its rounding errors
            steps = np.full(first + kept, scale)
            steps[0] = scale * 0.5
            centre = np.add.accumulate(steps)[first:]
        else:
            centre = (np.arange(first, first + kept) + 0.5) * scale
        return centre.astype(np.int64)[:, None], np.ones((kept, 1))
    stretch = max(scale, 1.0)
    support = stretch * (1.0 if resample == Image.Resampling.BILINEAR else 2.0)
    centre = (np.arange(first, first + kept)[:, None] + 0.5) * scale
    low = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    high = np.minimum((centre + support + 0.5).astype(np.int64), length)
    at = low + np.arange(int(np.ceil(support)) * 2 + 1)
    x = np.abs((at - centre + 0.5) * (1.0 / stretch))
    if resample == Image.Resampling.BILINEAR:
        weights = np.where(x < 1.0, 1.0 - x, 0.0)
    else:
        outer = np.where(x < 2.0, (((x - 5) * x + 8) * x - 4) * -0.5, 0.0)
        weights = np.where(x < 1.0, (1.5 * x - 2.5) * x * x + 1, outer)
    weights[at >= high] = 0.0
    # accumulate, not sum: one after the other, as C does
    return np.minimum(at, length - 1), weights / np.add.accumulate(weights, axis=1)[:, -1:]


def _weigh(
    image: Image.Image, axis: int, at: NDArray[np.int64], weights: NDArray[np.float64]
) -> Image.Image:
    """Return the picture with as many pixels along `axis` as `at` has rows."""
    pixels = np.moveaxis(np.asarray(image), 1 - axis, 0)  # NumPy's axis 0 is Pillow's 1
    weights = weights.reshape(*weights.shape, *[1] * (pixels.ndim - 1))
    if pixels.dtype == np.uint8:  # fixed point with 22 bits after it
        fixed = np.trunc(weights * (1 << 22) + np.copysign(0.5, weights)).astype(np.int64)
        mixed = ((pixels[at] * fixed).sum(axis=1) + (1 << 21)) >> 22
        found = mixed.clip(0, 255)
    else:
        found = np.add.accumulate(pixels[at] * weights, axis=1)[:, -1]
        if pixels.dtype.kind != "f":
            limits = np.iinfo(pixels.dtype)
            found = np.trunc(found + np.copysign(0.5, found)).clip(limits.min, limits.max)
    found = np.ascontiguousarray(np.moveaxis(found.astype(pixels.dtype), 0, 1 - axis))
    return Image.frombytes(image.mode, (found.shape[1], found.shape[0]), found.tobytes())


def _kept_ratio(image: Image.Image, ratio: float) -> tuple[int, int]:
    return round(image.width / ratio), round(image.height / ratio)


def _resize(image: Image.Image, width: int, height: int, resample: Image.Resampling) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), resample)


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
