"""A real browser and what the tests ask of a page in it."""

import json
import shutil

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,1000",
)  # fmt: skip


class Browser:
    def __init__(self, driver, pages):
        self.driver, self.pages = driver, pages

    def open(self, name="ours"):
        """A fresh page, as a reader opens it from a disk."""
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        self.driver.get(self.pages[name].as_uri())
        self.run("try { localStorage.clear() } catch {} delete document.documentElement.dataset.theme")
        return self

    def run(self, script, *given):
        return self.driver.execute_script(script, *given)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def until(self, script, *given):
        WebDriverWait(self.driver, 10, 0.05).until(lambda _: self.run(f"return {script}", *given), script)

    def draw_all(self):
        """Waits until every picture is drawn."""
        self.until("!document.querySelector('.waiting')")
        return self

    def problems(self):
        return [one["message"] for one in self.driver.get_log("browser") if one["level"] == "SEVERE"]

    def requests(self):
        """Every address asked for since this was last asked."""
        messages = [json.loads(one["message"])["message"] for one in self.driver.get_log("performance")]
        sent = [one["params"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent if one["documentURL"].startswith("file:")]

    def names(self, table=0):
        """The operators that a table shows, in order."""
        rows = "document.querySelectorAll('table.measured')[arguments[0]].tBodies[0].rows"
        return self.run(f"return [...{rows}].filter((row) => !row.hidden).map((row) => row.dataset.name)", table)


def start(profile):
    """A browser without a window, with a profile of its own, that calls nobody."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*QUIET, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Chrome(options=options, service=Service(DRIVER))
