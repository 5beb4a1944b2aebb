"""The browser of the tests: Debian's chromium under Playwright, and what is recorded of every page."""

import contextlib
import os
import shutil

from playwright.sync_api import sync_playwright

#: The tags of the rules that axe-core checks; `target-size` is of WCAG 2.2 and off unless it is named.
AXE_OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]},
    "rules": {"target-size": {"enabled": True}},
}

DESKTOP = {"width": 1366, "height": 768}
#: 400 % zoom of a window of 1280 pixels (WCAG 1.4.10).
ZOOMED = {"width": 320, "height": 512}
PHONE = {"width": 390, "height": 844}


def chromium_path():
    """Returns chromium's path; ends the tests if it is missing, because nothing passes without it."""
    named = os.environ.get("SLACKTIDE_CHROMIUM")
    for name in filter(None, (named, "chromium", "chromium-browser", "google-chrome")):
        if path := shutil.which(name):
            return path
    raise SystemExit("no chromium on the PATH: install it (on Debian: apt-get install chromium), or name it in SLACKTIDE_CHROMIUM")


class Recorder:
    """Records what a page must not do: errors, violations of its policy, requests to another origin, failed requests."""

    def __init__(self, page, origin):
        self.problems, self.origin = [], origin
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        page.on("request", self._request)
        page.on("requestfailed", self._failed)
        page.on("response", self._response)

    def _console(self, message):
        # A refused login is a response of the class 4xx, which the browser reports as an error.
        if message.type in ("error", "warning") and "status of 401" not in message.text:
            self.problems.append(f"console {message.type}: {message.text}")

    def _request(self, request):
        if not request.url.startswith((self.origin, "data:", "about:")):
            self.problems.append(f"request to another origin: {request.url}")

    def _failed(self, request):
        # The stream of a page ends when the page is left.
        if "/console/live/" not in request.url and "ERR_ABORTED" not in (request.failure or ""):
            self.problems.append(f"request failed: {request.url}: {request.failure}")

    def _response(self, response):
        if response.status >= 500:
            self.problems.append(f"{response.status}: {response.url}")

    def take(self):
        """Returns the problems since the last call."""
        problems, self.problems = self.problems, []
        return problems


class Browser:
    """A browser; use it as a context manager."""

    def __init__(self, origin):
        self.origin = origin
        self._stack = contextlib.ExitStack()
        #: Cookies by token: logins are limited to 10 a minute.
        self._sessions = {}

    def __enter__(self):
        playwright = self._stack.enter_context(sync_playwright())
        # The tests run as root, where the sandbox of chromium does not start; the pages are ours.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--force-prefers-reduced-motion"]
        self.chromium = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        self._stack.callback(self.chromium.close)
        return self

    def __exit__(self, *details):
        return self._stack.__exit__(*details)

    @contextlib.contextmanager
    def open(self, viewport=None, **options):
        """Opens a page in a context of its own, with a recorder."""
        # Downloads and service workers of one test do not reach another.
        context = self.chromium.new_context(base_url=self.origin, viewport=viewport or DESKTOP, locale="en", **options)
        context.set_default_timeout(30_000)
        page = context.new_page()
        try:
            yield page, Recorder(page, self.origin)
        finally:
            context.close()

    @contextlib.contextmanager
    def enter(self, token, **options):
        """Opens the overview in the session of a token."""
        if token not in self._sessions:
            with self.open() as (page, _):
                login(page, token)
                self._sessions[token] = page.context.storage_state()
        with self.open(storage_state=self._sessions[token], **options) as (page, recorder):
            page.goto("/console/overview")
            page.wait_for_selector("#navigation")
            yield page, recorder


def login(page, token):
    """Logs in with a token."""
    page.goto("/console/login")
    page.fill("#token", token)
    page.click("#login-button")
    page.wait_for_url("**/console/overview")


def choose(page, name, value):
    """Chooses a language or a theme."""
    page.click(f"#{name}-{value}")
    page.wait_for_selector(f"#{name}-{value}[aria-pressed=true]")


def pages_of(page):
    """Returns the names and paths of the pages in the navigation."""
    links = page.eval_on_selector_all("#navigation a", "links => links.map(link => [link.id, link.getAttribute('href')])")
    return {identifier.removeprefix("nav-"): path for identifier, path in links}


def visit(page, path):
    """Opens a page of the console and waits until it is there. Its stream never ends, so the network is never idle."""
    response = page.goto(path, wait_until="load")
    if response.status != 200:
        raise AssertionError(f"{path}: {response.status}")
    page.wait_for_selector("#content h1")
