"""What goes wrong is said where it belongs, and nothing that was put in is lost."""

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Page
from pictures import picture
from PIL import Image
from serving import serving

LIMITS = {
    "MAX_IMAGE_BYTES": "20000",
    "MAX_BODY_BYTES": "60000",
    "MAX_TEXT_CHARS": "40",
    "MAX_ITEMS": "8",
    "MAX_PIXELS": "90000",
}


@pytest.fixture(scope="module")
def strict() -> Iterator[str]:
    """The origin of a server with small limits."""
    with serving(**LIMITS) as origin:
        yield origin


@pytest.fixture
def refusing(page: Page, strict: str) -> Page:
    page.refused = True
    page.open(strict)
    return page


def sized(path: Path, size: int) -> Path:
    """Write a real picture with that many bytes: a PNG may be followed by anything."""
    file = picture(size=(8, 8))
    path.write_bytes(file + random.Random(1).randbytes(size - len(file)))
    return path


def plain(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    return out.getvalue()


def test_an_oversize_picture_is_marked_and_the_others_stay(
    refusing: Page, drawings: dict[str, Path], tmp_path: Path
) -> None:
    page, large = refusing, sized(tmp_path / "large.png", 24_000)
    page.drop(drawings["red circle"], large, drawings["blue square"])
    page.type("a red circle", "a blue square")
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    assert page.marks() == ["", "It has 24 kB; one picture may have 20 kB.", ""]
    assert page.thumbnails() == ["red-circle.png", "large.png", "blue-square.png"]
    page.find("#thumbnails .wrong button").click()
    page.compare()
    page.answered()
    assert page.rankings()["blue-square.png"] == ["a blue square", "a red circle"]
    assert page.marks() == ["", ""]


def test_pictures_too_large_together_are_marked_largest_first(
    refusing: Page, tmp_path: Path
) -> None:
    page = refusing
    sizes = {"a.png": 12_000, "b.png": 19_000, "c.png": 14_000}
    page.pick(*(sized(tmp_path / name, size) for name, size in sizes.items()))
    page.type("a red circle")
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    first, second, third = page.marks()
    assert (first, third) == ("", "")
    assert second.startswith("The request has 60.1 kB; this service takes 60 kB.")
    assert second.endswith("This picture has 19 kB.")
    page.find("#thumbnails .wrong button").click()
    page.compare()
    page.answered()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"not a picture", "This file is not a picture in a format read here ("),
        ("cut.png", picture(size=(60, 60))[:900], "This file cannot be decoded as a picture ("),
        ("empty.png", b"", "This file is empty"),
        (
            "wide.png",
            plain(2000, 50),
            "This file has 2000 x 50; at most 90000 pixels are decoded",
        ),
    ],
)
def test_a_file_that_cannot_be_read_as_a_picture_is_marked(
    refusing: Page,
    drawings: dict[str, Path],
    tmp_path: Path,
    name: str,
    content: bytes,
    message: str,
) -> None:
    page = refusing
    (tmp_path / name).write_bytes(content)
    page.drop(drawings["red circle"], tmp_path / name)
    page.type("a red circle")
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    first, second = page.marks()
    assert first == ""
    assert second.startswith(message)
    assert page.find("#texts").get_property("value") == "a red circle"


def test_a_file_that_is_gone_is_marked(page: Page, service: str, tmp_path: Path) -> None:
    page.open(service)
    path = sized(tmp_path / "gone.png", 2_000)
    page.pick(path)
    path.unlink()
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    assert page.marks()[0].startswith("This file cannot be read; was it moved or deleted")


def test_texts_past_a_limit_are_named_by_their_line(refusing: Page) -> None:
    page = refusing
    page.type("a red circle", "", "much too long " * 4)
    page.compare()
    said = page.refused_with("#texts-problem")
    assert said == "Line 3 has 55 characters; at most 40"
    assert page.find("#texts").get_attribute("aria-invalid") == "true"
    page.type(*"abcdefghi")
    page.compare()
    page.wait(lambda: "9 items in one request; at most 8" in page.text("#texts-problem"))
    page.type("a red circle")
    page.compare()
    page.answered()
    assert page.find("#texts").get_attribute("aria-invalid") is None
    assert not page.find("#texts-problem").is_displayed()


def test_too_many_pictures_are_said_at_the_pictures(
    refusing: Page, drawings: dict[str, Path]
) -> None:
    refusing.pick(*[drawings["red circle"]] * 9)
    refusing.compare()
    said = refusing.refused_with("#pictures-problem")
    assert said == "9 items in one request; at most 8"


def test_nothing_put_in(page: Page, service: str) -> None:
    page.open(service)
    page.compare()
    assert page.refused_with("#texts-problem") == "Add a picture or type a text first."
    assert [one for one in page.requests().values() if one.endswith("/embeddings")] == []
