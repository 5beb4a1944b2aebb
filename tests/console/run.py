"""Browser tests of the console: `make test-console`.

A real site (nats-server, both agents with rows and requests, a gateway with the console) and Debian's chromium. Arguments are parts
of the names of tests. Ends with `N passed, N failed`; screenshots of every page are in target/console.
"""

import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "site"))

from site_on_loopback import ROOT, Site  # noqa: E402

import accessibility  # noqa: E402
import numbers_shown  # noqa: E402
import use  # noqa: E402
from browser import Browser, chromium_path  # noqa: E402


def main():
    chromium_path()
    screenshots = ROOT / "target/console"
    screenshots.mkdir(parents=True, exist_ok=True)
    tests = [*use.TESTS, *numbers_shown.TESTS, *accessibility.TESTS]
    tests = [test for test in tests if not sys.argv[1:] or any(part in test.__name__ for part in sys.argv[1:])]
    failed = 0
    with Site(console=True) as site, Browser(site.url) as browser:
        for number in range(3):
            site.wait_answered(site.file_request(day=f"2026-01-0{number + 1}", key=f"console-{number}"))
        for test in tests:
            started = time.monotonic()
            try:
                test(site, browser, screenshots)
                result = "ok"
            except Exception:  # noqa: BLE001: every failure of a test is reported, and the next one runs
                failed += 1
                result = "FAILED\n" + traceback.format_exc()
            print(f"test {test.__name__} ... {result} ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
