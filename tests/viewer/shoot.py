"""Opens a study in OHIF as a reader does, double-clicks series after series, and takes a picture of each.

Runs in the environment that fetch.sh makes, not in the product's: it knows the browser driver and nothing else.
usage: shoot.py URL STUDY_UID FOLDER [SERIES_UID...]; the n-th series becomes FOLDER/n.png, and FOLDER/errors.json
lists the errors of the page's scripts.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright  # type: ignore[import-not-found, unused-ignore]

SIZE = (1200, 772)
_FLAGS = (
    "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-address=127.0.0.1", "--remote-debugging-port=0",
)  # fmt: skip
_LISTED = "() => window.services ? services.displaySetService.getActiveDisplaySets().length : 0"
_ENTRY = """uid => (services.displaySetService.getActiveDisplaySets().find(one => one.SeriesInstanceUID === uid) || {})
  .displaySetInstanceUID"""


def main() -> None:
    url, study, folder, *series = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="viewer-chromium-", ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            ["chromium", *_FLAGS, f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            shoot(_debugging_port(browser, Path(profile)), f"{url}/viewer?StudyInstanceUIDs={study}", Path(folder), series)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)  # its own processes write into the profile until they end
            browser.wait()


def _debugging_port(browser: "subprocess.Popen[bytes]", profile: Path) -> str:
    """Return the port that Chromium chose: it writes it down when it listens."""
    note = profile / "DevToolsActivePort"
    for _ in range(240):
        if note.exists() and (lines := note.read_text().splitlines()):
            return lines[0]
        if browser.poll() is not None:
            break
        time.sleep(0.25)
    raise SystemExit("Chromium does not open its debugging port")


def shoot(port: str, address: str, folder: Path, series: list[str]) -> None:
    errors: list[str] = []
    with sync_playwright() as driver:
        page = driver.chromium.connect_over_cdp(f"http://127.0.0.1:{port}").new_context(
            viewport={"width": SIZE[0], "height": SIZE[1]}
        ).new_page()
        page.on("pageerror", lambda error: errors.append(str(error)[:300]))
        # the beginner's tour would lie over everything
        page.add_init_script("localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))")
        page.goto(address)
        page.wait_for_function(_LISTED, timeout=90_000)
        _until_still(page)
        for number, uid in enumerate(series):
            entry = page.evaluate(_ENTRY, uid)
            if entry is None:
                errors.append(f"the series {uid} is not listed")
                continue
            thumbnail = page.locator(f"#thumbnail-{entry}")
            thumbnail.scroll_into_view_if_needed(timeout=30_000)
            thumbnail.dblclick(timeout=30_000)
            _until_still(page)
            for answer in ("Yes", "Continue"):  # OHIF asks whether to load a segmentation
                asked = page.locator('[data-cy="viewport-grid"] button', has_text=answer)
                if asked.count():
                    asked.first.click(timeout=10_000)
                    _until_still(page)
            page.screenshot(path=folder / f"{number}.png")
    (folder / "errors.json").write_text(json.dumps(errors))


def _until_still(page: Page) -> None:
    """Wait until the page looks the same three seconds long, at most a minute."""
    last, still = b"", 0
    for _ in range(60):
        page.wait_for_timeout(1000)
        now = page.screenshot()
        still = still + 1 if now == last else 0
        if still == 3:
            return
        last = now


if __name__ == "__main__":
    main()
