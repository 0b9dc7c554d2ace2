"""Small screens, light and dark, prefixes, and a page that can do nothing it need not."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import Page
from pictures import picture
from serving import gateway, serving

CONTRAST = """
const pen = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
const rgba = (colour) => {
  pen.clearRect(0, 0, 1, 1);
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data];
};
const luminance = ([r, g, b]) => [r, g, b]
  .map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const found = rgba(getComputedStyle(node).backgroundColor);
    if (found[3] === 255) return found;
  }
};
const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim();
return [...document.querySelectorAll("body *")]
  .filter((node) => node.checkVisibility() && !node.closest(".unseen, noscript"))
  .filter((node) => node.value || [...node.childNodes].some(isText))
  .map((node) => {
    const both = [rgba(getComputedStyle(node).color), behind(node)].map(luminance);
    const [dark, light] = both.sort((a, b) => a - b);
    return [(light + 0.05) / (dark + 0.05), node.tagName + ": " + (node.value || node.textContent)];
  });
"""


def contrasts(page: Page) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = page.script(CONTRAST)
    return sorted(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_readable(page: Page, service: str, scheme: str, tmp_path: Path) -> None:
    page.refused = True
    page.emulate(scheme=scheme)
    page.open(service)
    page.find("summary").click()
    page.find("#examples").click()
    page.answered()
    (tmp_path / "notes.txt").write_text("no picture")
    page.pick(tmp_path / "notes.txt")
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    found = contrasts(page)
    assert len(found) > 100
    assert found[0][0] >= 4.5, found[:5]


def test_dark_is_dark(page: Page, service: str) -> None:
    page.open(service)
    light = page.style("body", "background-color")
    page.emulate(scheme="dark")
    dark = page.style("body", "background-color")

    def brightness(colour: str) -> int:
        return sum(int(one) for one in re.findall(r"\d+", colour)[:3])

    assert brightness(light) > 600
    assert brightness(dark) < 100


@pytest.mark.parametrize("width", [320, 360, 768, 1200])
def test_nothing_is_wider_than_the_screen(
    page: Page, service: str, tmp_path: Path, width: int
) -> None:
    def overflow() -> list[Any]:
        code = "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
        return list(page.script(code))

    page.emulate(width=width)
    page.open(service)
    assert overflow() == [width, width]
    page.find("#examples").click()
    page.answered()
    long = tmp_path / ("averylongname" * 12 + ".png")
    long.write_bytes(picture())
    page.pick(long)
    page.find("#texts").send_keys("\n" + "onewordwithoutanyspace" * 12)
    page.compare()
    page.wait(lambda: len(page.matrix()[0]) == 7)
    assert overflow() == [width, width]
    long.unlink()
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    assert overflow() == [width, width]


@pytest.mark.parametrize("opened", ["/api", "/api/"])
def test_behind_a_prefix(page: Page, opened: str) -> None:
    with serving(ROOT_PATH="/api") as service, gateway(service, "/api") as origin:
        page.open(origin + opened)
        page.find("#examples").click()
        page.answered()
        assert page.rankings()["red-circle.png"][0] == "a large red circle"
        assert f"curl -sS '{origin}/api/embeddings'" in page.text("#curl")
        assert f"'{origin}/api/page/examples/red-circle.png'" in page.text("#curl")
        asked = page.requests().values()
        assert f"{origin}/api/page/style.css" in asked
        assert [one for one in asked if one.startswith(f"{origin}/page")] == []


def test_behind_a_prefix_nobody_told_of(page: Page, service: str) -> None:
    with gateway(service, "/any/where") as origin:
        page.open(f"{origin}/any/where/")
        page.find("#examples").click()
        page.answered()
        assert page.rankings()["green-star.png"][0] == "a green star"


def test_the_page_asks_for_nothing_from_elsewhere(page: Page, service: str) -> None:
    page.open(service)
    page.find("#examples").click()
    page.answered()
    paths = {
        one.removeprefix(service) for one in page.requests().values() if one.startswith(service)
    }
    assert {"/", "/page/style.css", "/page/page.js", "/health", "/embeddings"} <= paths
    sources = [one.get_attribute("src") for one in page.all("img")]
    assert sources
    assert all(str(one).startswith("blob:") for one in sources)


def test_injected_script_does_not_run(page: Page, service: str) -> None:
    page.open(service)
    policy = httpx.get(service, headers={"accept": "text/html"}).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    page.script(
        "const one = document.createElement('script'); one.textContent = 'window.ran = 1';"
        "document.body.append(one)"
    )
    assert page.script("return window.ran") is None
    assert any("Content Security Policy" in one for one in page.complaints())


def test_names_and_texts_are_shown_as_they_are(page: Page, service: str, tmp_path: Path) -> None:
    page.open(service)
    path = tmp_path / "<img src=x onerror=alert(1)>.png"
    path.write_bytes(picture())
    page.pick(path)
    page.type("<b>bold</b>", "&amp;")
    page.compare()
    page.answered()
    rows, columns, _ = page.matrix()
    assert (rows, columns) == (["<b>bold</b>", "&amp;"], [path.name])
