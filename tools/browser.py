"""A headless Chromium that talks to this machine only, for the page's tests and its screenshot."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from selenium import webdriver

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # containers run it as root
    "--disable-gpu",
    "--disable-dev-shm-usage",  # 64 MB in Docker, too little for large pictures
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


class BrowserMissing(Exception):
    """Chromium or its driver is not installed; the message says how to."""


@contextmanager
def chromium(width: int = 1200, height: int = 900) -> Iterator[webdriver.Chrome]:
    """Give a fresh browser; its logs `browser` and `performance` hold everything.

    Raises:
        BrowserMissing: it is not installed.
    """
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or binary is None:
        raise BrowserMissing(
            "the page is tested in Chromium, which is not installed: "
            "apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        found = webdriver.Chrome(options, webdriver.ChromeService(driver))
        try:
            found.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
            )
            yield found
        finally:
            found.quit()
