"""The two options that leave the reference: EXIF orientation, and JPEGs decoded at a fraction."""

import itertools

import numpy as np
import pytest
from calls import embed
from corpus_pictures import corpus, drawn, oriented, photograph, saved
from PIL import ImageOps
from reference import open_picture, our_pixels, reference_pixels, spec

from handler.embedder import Embedder
from handler.images import load_image
from handler.items import Image, Options
from handler.preprocess import preprocess, target_size
from handler.vectors import cosines

MEGAPIXELS = {
    "1 MP": (1152, 864),
    "2 MP": (1200, 1600),
    "3 MP": (1999, 1501),  # divisible by nothing
    "5 MP": (2560, 1920),
    "12 MP": (4000, 3000),
}


@pytest.fixture(scope="module")
def photographs() -> dict[str, bytes]:
    return {
        name: saved(photograph(*size, seed=at), "JPEG", quality=(75, 85, 88, 90, 95)[at])
        for at, (name, size) in enumerate(MEGAPIXELS.items())
    }


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_first(orientation: int, format_name: str) -> None:
    data = oriented(drawn("RGB", 90, 61), orientation, format_name)
    for wanted in (spec(), spec("squash", (48, 80)), spec("longest", (80, 48))):
        turned = ImageOps.exif_transpose(open_picture(data))
        loaded = load_image(data, "image", max_pixels=10_000, orient="exif")
        np.testing.assert_array_equal(preprocess(loaded, wanted), reference_pixels(turned, wanted))
        plain = load_image(data, "image", max_pixels=10_000)
        np.testing.assert_array_equal(
            preprocess(plain, wanted), reference_pixels(open_picture(data), wanted)
        )


def test_exif_changes_only_what_is_turned() -> None:
    upright, sideways = (oriented(drawn("RGB", 90, 61), o) for o in (1, 6))
    for data, same in ((upright, True), (sideways, False)):
        pixels = preprocess(load_image(data, "i", max_pixels=10_000, orient="exif"), spec())
        assert np.array_equal(pixels, our_pixels(data, spec())) is same


def test_fast_never_decodes_below_twice_the_target() -> None:
    scaled = 0
    shapes = ((640, 480), (255, 257), (1023, 400), (128, 128), (129, 1000), (90, 61), (2000, 130))
    for shape, mode, size in itertools.product(
        shapes, ("shortest", "longest", "squash"), ((64, 64), (30, 80))
    ):
        wanted = spec(mode, size)
        for orientation in (1, 6):
            data = oriented(drawn("RGB", *shape), orientation)
            for orient in ("reference", "exif"):
                loaded = load_image(
                    data, "image", max_pixels=10_000_000, orient=orient, fast_for=wanted
                )
                whole = load_image(data, "image", max_pixels=10_000_000, orient=orient)
                target = target_size(*whole.size, wanted)
                for found, full, needed in zip(loaded.size, whole.size, target, strict=True):
                    assert found == full or found >= 2 * needed
                scaled += loaded.size != whole.size
    assert scaled > 40


def test_fast_changes_nothing_but_jpeg() -> None:
    wanted = spec()
    for name, data in corpus().items():
        if open_picture(data).format in ("JPEG", "MPO"):
            continue
        loaded = load_image(data, "image", max_pixels=10_000_000, fast_for=wanted)
        exact = load_image(data, "image", max_pixels=10_000_000)
        assert loaded.size == exact.size and loaded.tobytes() == exact.tobytes(), name


def test_fast_leaves_a_small_jpeg_alone() -> None:
    data = saved(photograph(200, 150), "JPEG")
    loaded = load_image(data, "image", max_pixels=10_000_000, fast_for=spec())
    assert loaded.size == (200, 150)
    assert loaded.tobytes() == load_image(data, "image", max_pixels=10_000_000).tobytes()


@pytest.mark.parametrize("size", [64, 224, 384])
def test_fast_pixels_are_within_one_step_on_average(
    photographs: dict[str, bytes], size: int
) -> None:
    wanted = spec(size=(size, size)).model_copy(update={"mean": (0, 0, 0), "std": (1, 1, 1)})
    for name, data in photographs.items():
        loaded = load_image(data, "image", max_pixels=20_000_000, fast_for=wanted)
        difference = np.abs(preprocess(loaded, wanted) - our_pixels(data, wanted))
        print(f"{name} at {size}: mean {difference.mean() * 255:.3f}/255", loaded.size)
        assert difference.mean() <= 1 / 255


def test_fast_vectors_are_close(embedder: Embedder, photographs: dict[str, bytes]) -> None:
    images = [Image(data, name) for name, data in photographs.items()]
    exact = embed(embedder, [], images, Options())
    fast = embed(embedder, [], images, Options(decode="fast"))
    found = cosines(fast.vectors, exact.vectors)
    print("cosines", found)
    assert found.min() >= 0.999
    assert fast.space != exact.space
