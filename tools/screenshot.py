"""Take the README's picture of the page, from a running server.

`make run` in one terminal, then: python -m tools.screenshot docs/page.png
"""

import sys
from base64 import b64decode
from pathlib import Path

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tools.browser import chromium


def main(
    out: Path, url: str = "http://127.0.0.1:7860/", width: str = "1200", scheme: str = "light"
) -> None:
    """Show the examples and write the page down to the ranking."""
    with chromium(int(width)) as browser:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(url)
        browser.find_element(By.ID, "examples").click()
        results = browser.find_element(By.ID, "results")
        WebDriverWait(browser, 30).until(lambda _: results.is_displayed())
        ActionChains(browser).move_by_offset(1, 1).perform()
        ranking = browser.find_element(By.CSS_SELECTOR, "section:has(#ranking)").rect
        height = ranking["y"] + ranking["height"] + 14
        clip = {"x": 0, "y": 0, "width": int(width), "height": height, "scale": 1}
        shot = browser.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        out.write_bytes(b64decode(shot["data"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
