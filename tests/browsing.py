"""The page as a person sees it: what is put in, what is shown, and what the browser did."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 20


class Page:
    """One browser on one page."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser
        self._network: list[tuple[str, Any]] = []
        self.refused = False
        """Set by tests in which requests fail on purpose: Chromium logs those as errors."""

    def open(self, address: str) -> None:
        self.browser.get(address)
        self.wait(lambda: self.text("#model").startswith("OpenCLIP"))

    def wait(self, condition: Callable[[], object]) -> None:
        waiting = WebDriverWait(
            self.browser,
            SECONDS,
            poll_frequency=0.02,
            ignored_exceptions=[StaleElementReferenceException],
        )
        try:
            waiting.until(lambda _: condition())
        except TimeoutException:
            pytest.fail(f"not in {SECONDS} s; the page says:\n{self.text('body')[:2000]}")

    def find(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def focused(self) -> WebElement:
        found: WebElement = self.browser.switch_to.active_element
        return found

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def style(self, selector: str, name: str) -> str:
        return self.find(selector).value_of_css_property(name)

    def script(self, code: str, *arguments: object) -> Any:
        return self.browser.execute_script(code, *arguments)

    def cdp(self, command: str, **arguments: object) -> Any:
        return self.browser.execute_cdp_cmd(command, arguments)

    def drop(self, *paths: Path) -> None:
        """Drag files over the page and let them fall, as the browser itself does it."""
        before = len(self.thumbnails())
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.cdp("Input.dispatchDragEvent", type=kind, x=300, y=200, data=data)
        self.wait(lambda: len(self.thumbnails()) == before + len(paths))

    def pick(self, *paths: Path) -> None:
        before = len(self.thumbnails())
        self.find("#picker").send_keys("\n".join(str(path) for path in paths))
        self.wait(lambda: len(self.thumbnails()) == before + len(paths))

    def type(self, *texts: str) -> None:
        self.find("#texts").clear()
        self.find("#texts").send_keys("\n".join(texts))

    def keys(self, *keys: str) -> None:
        ActionChains(self.browser).send_keys(*keys).perform()

    def control_enter(self) -> None:
        chain = ActionChains(self.browser).key_down(Keys.CONTROL)
        chain.send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()

    def compare(self) -> None:
        self.find("#compare").click()

    def answered(self) -> None:
        self.wait(lambda: self.text("#status").startswith("Compared "))

    def refused_with(self, selector: str) -> str:
        """Wait until the comparison has failed and return what the place says about it."""
        self.wait(lambda: self.text("#status") == "Not compared." and self.text(selector))
        return self.text(selector)

    def thumbnails(self) -> list[str]:
        return [one.text for one in self.all("#thumbnails .name")]

    def marks(self) -> list[str]:
        """Return what is said below each picture."""
        return [one.text for one in self.all("#thumbnails .problem")]

    def matrix(self) -> tuple[list[str], list[str], list[list[float]]]:
        """Return row names, column names and the numbers shown."""
        names = {
            scope: [one.text for one in self.all(f"#matrix th[scope={scope}]")]
            for scope in ("row", "col")
        }
        rows = [
            [_number(cell.text) for cell in row.find_elements(By.TAG_NAME, "td")]
            for row in self.all("#matrix tbody tr")
        ]
        return names["row"], names["col"], rows

    def rankings(self) -> dict[str, list[str]]:
        """Return for each column its rows' names, best first."""
        return {
            card.find_element(By.TAG_NAME, "h3").text: [
                one.text for one in card.find_elements(By.CSS_SELECTOR, "li .name")
            ]
            for card in self.all("#ranking article")
        }

    def copied(self, button: WebElement) -> str:
        """Press a copy button with the keyboard and return the clipboard."""
        button.send_keys(Keys.ENTER)
        self.wait(lambda: self.script("return document.querySelector('#copied').textContent"))
        read = "navigator.clipboard.readText().then(arguments[0])"
        return str(self.browser.execute_async_script(read))

    def emulate(self, *, width: int = 1200, scheme: str = "light") -> None:
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.cdp("Emulation.setEmulatedMedia", features=features)

    def network(self) -> list[tuple[str, Any]]:
        """Return what the browser's network did on this page: event names and parameters."""
        for one in self._log("performance"):
            message = json.loads(one["message"])["message"]
            self._network.append((message["method"], message["params"]))
        return self._network

    def requests(self) -> dict[str, str]:
        """Return the addresses asked for, by the browser's number of the request."""
        return {
            event["requestId"]: event["request"]["url"]
            for name, event in self.network()
            if name == "Network.requestWillBeSent"
        }

    def ended(self, path: str) -> int:
        """Return how many requests to this path have had their answer, failed or been aborted."""
        asked = {number for number, url in self.requests().items() if url.endswith(path)}
        ends = ("Network.loadingFinished", "Network.loadingFailed")
        return len({e["requestId"] for name, e in self._network if name in ends} & asked)

    def forget(self) -> None:
        """Begin anew: what the browser has logged until now belongs to another page."""
        self.network().clear()
        self.complaints()

    def complaints(self) -> list[str]:
        """Return the console's errors and warnings since this was last called."""
        return [one["message"] for one in self._log("browser") if one["level"] != "INFO"]

    def _log(self, name: str) -> list[Any]:
        found: list[Any] = self.browser.get_log(name)  # type: ignore[no-untyped-call]
        return found


def outside(addresses: Iterable[str], origin: str) -> list[str]:
    """Return those that lead anywhere but to the service or into the page itself."""
    return [
        one
        for one in addresses
        if not one.startswith((origin + "/", "data:", "blob:")) or urlsplit(one).username
    ]


def _number(text: str) -> float:
    return float(text.splitlines()[0].partition(",")[0].replace("−", "-"))
