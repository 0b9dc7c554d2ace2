"""Pixels against open_clip's own transform: equal to the last bit, on every kind of picture."""

import io
import itertools

import numpy as np
import pytest
from corpus_pictures import DEEP, EIGHT_BIT, corpus, drawn, in_mode, saved
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reference import open_picture, our_pixels, reference_pixels, spec

from handler.bundle import PreprocessSpec
from handler.errors import InvalidRequest
from handler.preprocess import _CROP_FIRST_ABOVE, target_size

PICTURES = corpus()
SIZES = ((64, 64), (48, 80), (80, 48))
SPECS = [
    *(spec(*s) for s in itertools.product(("shortest", "squash"), SIZES, ("bicubic", "bilinear"))),
    *(spec(*s) for s in itertools.product(("longest",), SIZES, ("bicubic", "bilinear"), (0, 255))),
]


def described(wanted: PreprocessSpec) -> str:
    size = f"{wanted.height}x{wanted.width}"
    return f"{wanted.resize_mode}-{size}-{wanted.interpolation}-{wanted.fill_color}"


def difference(data: bytes, wanted: PreprocessSpec) -> float:
    """Return the largest difference; open_clip refusing a picture, ours must refuse it too."""
    try:
        expected = reference_pixels(open_picture(data), wanted)
    except ValueError:
        with pytest.raises(InvalidRequest, match="too thin"):
            our_pixels(data, wanted)
        return 0.0
    found = our_pixels(data, wanted)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert found.shape == (3, wanted.height, wanted.width)
    return float(np.abs(found - expected).max())


def test_the_corpus_has_every_mode_and_format() -> None:
    opened = [open_picture(data) for data in PICTURES.values()]
    assert len(PICTURES) >= 200
    modes = {image.mode for image in opened}
    assert modes >= {*EIGHT_BIT, *DEEP, "YCbCr", "LAB", "PA", "I;16B"}
    formats = {image.format for image in opened}
    assert formats == {"JPEG", "MPO", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF"}
    assert sum(getattr(image, "is_animated", False) for image in opened) >= 6
    assert any(image.info.get("progressive") for image in opened)
    assert any(image.info.get("interlace") for image in opened)
    assert sum("transparency" in image.info for image in opened) >= 5


@pytest.mark.parametrize("wanted", SPECS, ids=described)
def test_pixels_equal_open_clips(wanted: PreprocessSpec) -> None:
    differences = {name: difference(data, wanted) for name, data in PICTURES.items()}
    assert {name: value for name, value in differences.items() if value} == {}


def test_pixels_equal_at_the_usual_size() -> None:
    wanted = spec(size=(224, 224))
    some = list(PICTURES.items())[::3]
    assert {name: value for name, data in some if (value := difference(data, wanted))} == {}


@pytest.mark.parametrize("mean", [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5)])
def test_normalisation_is_the_same_arithmetic(mean: tuple[float, float, float]) -> None:
    every_byte = saved(Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3)), "PNG")
    wanted = spec(size=(16, 16)).model_copy(update={"mean": mean, "std": (1.0, 0.5, 0.3)})
    assert difference(every_byte, wanted) == 0.0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from((*EIGHT_BIT, *DEEP)),
    st.sampled_from(SPECS),
)
def test_any_size(width: int, height: int, mode: str, wanted: PreprocessSpec) -> None:
    assert difference(in_mode(mode, width, height), wanted) == 0.0


def is_cropped_first(width: int, height: int, wanted: PreprocessSpec) -> bool:
    resized = target_size(width, height, wanted)
    return resized[0] * resized[1] > _CROP_FIRST_ABOVE


RIBBONS = (
    *((3, 2000), (2000, 3), (11, 2001), (2001, 11), (13, 2100), (2100, 13), (1, 900), (900, 1)),
    *((2, 1200), (1200, 2), (7, 1300), (1301, 7)),
)


@pytest.mark.parametrize("mode", [*EIGHT_BIT, *DEEP])
def test_ribbons_are_cropped_before_they_are_resized(mode: str) -> None:
    """Odd and even lengths, whole and fractional factors: the filter's positions must be exact."""
    wanted = spec(size=(224, 224))
    for width, height in RIBBONS:
        assert is_cropped_first(width, height, wanted)
        assert difference(in_mode(mode, width, height), wanted) == 0.0, (width, height)


@pytest.mark.parametrize("size", [(2, 3000), (3000, 2), (1, 3000), (3000, 1)])
@pytest.mark.parametrize("mode", ["L", "P"])
def test_the_longest_ribbons_the_reference_can_take(mode: str, size: tuple[int, int]) -> None:
    """open_clip needs up to 150 MB for each of these; for RGB it would be four times that."""
    assert difference(in_mode(mode, *size), spec(size=(224, 224))) == 0.0


@pytest.mark.parametrize("filter_name", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(300, 51_000), (51_000, 300), (300, 29_900)])
def test_ribbons_that_shrink(filter_name: str, size: tuple[int, int]) -> None:
    """Above 100:1 Pillow resamples the columns of such a picture first, otherwise the rows."""
    wanted = spec("shortest", (256, 256), filter_name)
    assert difference(saved(drawn("L", *size), "BMP"), wanted) == 0.0


@pytest.mark.parametrize("size", [(40, 20), (20, 40)])
def test_ribbons_for_a_model_that_is_not_square(size: tuple[int, int]) -> None:
    wanted = spec("shortest", size, "bilinear")
    for mode in ("RGB", "RGBA", "P"):
        for picture in ((3, 31_001), (31_001, 3)):
            if is_cropped_first(*picture, wanted):
                assert difference(in_mode(mode, *picture), wanted) == 0.0
    assert any(is_cropped_first(*picture, wanted) for picture in ((3, 31_001), (31_001, 3)))


def test_a_ribbon_beyond_the_reference_is_served() -> None:
    """open_clip would need 13 GB for it; a stranger's picture must not cost more than others."""
    for mode in ("P", "RGB", "RGBA"):
        out = io.BytesIO()
        Image.new(mode, (1, 65_000), 7).save(out, "PNG")
        assert our_pixels(out.getvalue(), spec(size=(224, 224))).shape == (3, 224, 224)


def test_a_picture_too_thin_to_fit_whole_is_refused() -> None:
    data = saved(drawn("RGB", 3000, 10), "PNG")
    with pytest.raises(InvalidRequest) as caught:
        our_pixels(data, spec("longest"))
    assert caught.value.code == "image_too_thin"
    assert caught.value.message == (
        "image is 3000 x 10: too thin to be fitted whole into the model's 64 x 64"
    )
