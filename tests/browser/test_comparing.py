"""Pictures and texts in, the right matrix, ranking, vectors and curl line out."""

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from browsing import Page
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from serving import gateway, vectors

TEXTS = ["a blue square", "a red circle", "a green star"]
EXAMPLES = {
    "red-circle.png": "a large red circle",
    "blue-square.png": "a small blue square",
    "green-star.png": "a green star",
    "yellow-triangle.png": "a yellow triangle",
    "purple-heart.png": "a purple heart",
}


def test_dropped_pictures_and_typed_texts_are_compared(
    page: Page, service: str, drawings: dict[str, Path]
) -> None:
    paths = [drawings["red circle"], drawings["blue square"]]
    page.open(service)
    page.drop(*paths)
    page.type(*TEXTS, "", "  ")
    page.compare()
    page.answered()
    assert page.text("#status").startswith("Compared 2 pictures and 3 texts in ")
    found = vectors(service, TEXTS, paths)
    rows, columns, shown = page.matrix()
    assert (rows, columns) == (TEXTS, ["red-circle.png", "blue-square.png"])
    assert np.allclose(shown, found[:3] @ found[3:].T, atol=0.00051)
    rankings = page.rankings()
    assert rankings["red-circle.png"][0] == "a red circle"
    assert rankings["blue-square.png"][0] == "a blue square"
    for column, name in enumerate(columns):
        order = np.argsort([-row[column] for row in shown])
        assert rankings[name] == [TEXTS[row] for row in order]
    cells = page.all("#matrix tbody td")
    fills = [cell.value_of_css_property("background-color") for cell in cells]
    brightness = [sum(float(one) for one in re.findall(r"[\d.]+", fill)) for fill in fills]
    assert np.argsort(brightness).tolist() == np.argsort(-np.ravel(shown)).tolist()
    assert max(brightness) - min(brightness) > 1
    best = [cell.text.splitlines()[0] for cell in page.all("#matrix td.best")]
    assert len(best) == 2
    assert page.text("#model") == "OpenCLIP-shapes-tiny, 64 dimensions, space 2a6768d3457a"


def test_the_examples_come_out_right(page: Page, service: str) -> None:
    page.open(service)
    page.find("#examples").click()
    page.answered()
    assert {name: order[0] for name, order in page.rankings().items()} == EXAMPLES
    page.find("#clear").click()
    assert page.thumbnails() == []
    assert page.text("#status") == "Changed since the last comparison."


def test_everything_by_keyboard(page: Page, service: str) -> None:
    page.open(service)
    page.keys(Keys.TAB)
    assert page.focused().get_attribute("id") == "picker"
    assert page.style("label[for=picker]", "outline-style") == "solid"
    page.keys(Keys.TAB)
    assert page.focused().get_attribute("id") == "examples"
    page.keys(Keys.ENTER)
    page.answered()
    page.find("#thumbnails li:last-child button").send_keys(Keys.ENTER)
    assert page.thumbnails() == list(EXAMPLES)[:4]
    assert page.focused().accessible_name == "Remove yellow-triangle.png"
    page.keys(*[Keys.TAB] * 4)
    assert page.focused().get_attribute("id") == "texts"
    page.focused().send_keys(Keys.CONTROL, "a")
    page.keys("a red circle", Keys.ENTER, "a green star")
    page.control_enter()
    page.wait(lambda: page.matrix()[0] == ["a red circle", "a green star"])
    page.keys(Keys.TAB)
    assert page.focused().tag_name == "summary"
    page.keys(Keys.TAB)
    assert page.focused().get_attribute("id") == "compare"


def test_vectors_are_copied(page: Page, service: str, drawings: dict[str, Path]) -> None:
    page.open(service)
    page.cdp("Browser.grantPermissions", permissions=["clipboardReadWrite"], origin=service)
    page.pick(drawings["green star"])
    page.type("a red circle")
    page.compare()
    page.answered()
    expected = vectors(service, ["a red circle"], [drawings["green star"]])
    buttons = page.all("#vectors button")
    names = [button.accessible_name for button in buttons]
    assert names == ["Copy vector of a red circle", "Copy vector of green-star.png"]
    for button, vector in zip(buttons, expected, strict=True):
        assert json.loads(page.copied(button)) == vector.tolist()
    assert json.loads(page.copied(page.find("#copy-all"))) == expected.tolist()
    assert page.copied(page.find("#copy-curl")).startswith("printf ")


def test_vectors_are_copied_where_the_browser_has_no_clipboard_for_us(
    page: Page, service: str
) -> None:
    page.open(service)
    page.cdp("Browser.grantPermissions", permissions=["clipboardReadWrite"], origin=service)
    page.type("a red circle")
    page.compare()
    page.answered()
    # As on http from another machine: there is no navigator.clipboard then.
    page.script(
        "window.clipboard = navigator.clipboard;"
        "Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})"
    )
    page.find("#vectors button").send_keys(Keys.ENTER)
    page.wait(lambda: page.text("#vectors button") == "Copied")
    copied = page.browser.execute_async_script("window.clipboard.readText().then(arguments[0])")
    assert json.loads(copied) == vectors(service, ["a red circle"], [])[0].tolist()


@pytest.mark.parametrize("kind", ["texts", "pictures"])
def test_one_kind_is_compared_with_itself(
    page: Page, service: str, drawings: dict[str, Path], kind: str
) -> None:
    page.open(service)
    if kind == "texts":
        page.type("a red circle", "a red ring", "a blue square")
    else:
        page.pick(*drawings.values())
    page.find("#texts").send_keys(Keys.CONTROL, Keys.ENTER)
    page.answered()
    rows, columns, shown = page.matrix()
    assert rows == columns
    assert len(rows) == 3
    assert np.allclose(np.diag(shown), 1)
    assert len(page.all("#matrix td.itself")) == 3
    for name, order in page.rankings().items():
        assert sorted([name, *order]) == sorted(rows)


def test_a_pasted_picture_is_taken(page: Page, service: str, drawings: dict[str, Path]) -> None:
    page.open(service)
    page.script(
        """
        const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "image.png", {type: "image/png"}));
        const options = {clipboardData: data, bubbles: true, cancelable: true};
        document.querySelector("#texts").dispatchEvent(new ClipboardEvent("paste", options));
        """,
        base64.b64encode(drawings["red circle"].read_bytes()).decode(),
    )
    page.type("a green star", "a red circle")
    page.compare()
    page.answered()
    assert page.rankings() == {"image.png": ["a red circle", "a green star"]}


def test_a_text_that_was_cut_is_named(page: Page, service: str) -> None:
    page.open(service)
    page.type("a red circle", "red circle " * 60)
    page.compare()
    page.answered()
    assert page.text("#cut").startswith("Longer than the model reads, and cut: “red circle red")


def test_the_newest_request_wins(page: Page, service: str) -> None:
    arrived, let_go = threading.Event(), threading.Event()

    def hold_the_first(request: BaseHTTPRequestHandler) -> None:
        if request.command == "POST" and not arrived.is_set():
            arrived.set()
            assert let_go.wait(20)

    with gateway(service, rule=hold_the_first) as origin:
        page.open(origin)
        page.type("a red circle", "first")
        page.compare()
        assert arrived.wait(20)
        assert page.text("#status") == "Asking the service…"
        page.type("a red circle", "second")
        page.compare()
        page.wait(lambda: page.matrix()[0] == ["a red circle", "second"])
        let_go.set()
        page.wait(lambda: page.ended("/embeddings") == 2)
        page.browser.execute_async_script("setTimeout(arguments[0])")
        assert page.matrix()[0] == ["a red circle", "second"]
        assert page.text("#status").startswith("Compared 2 texts in ")
        assert "second" in page.text("#curl")


def test_the_table_reads_as_one(page: Page, service: str) -> None:
    page.open(service)
    page.find("#examples").click()
    page.answered()
    table = page.find("#matrix table")
    assert table.find_element(By.TAG_NAME, "caption").get_property("textContent")
    assert len(page.all("#matrix th[scope=col]")) == 5
    assert len(page.all("#matrix th[scope=row]")) == 6
    page.find("summary").click()
    controls = [
        one
        for one in page.all("button, input, textarea, summary, a, [tabindex]")
        if one.is_displayed()
    ]
    assert len(controls) > 20
    assert [one.get_attribute("outerHTML") for one in controls if not one.accessible_name] == []
