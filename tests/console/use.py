"""How a person uses the console: login, navigation, language, filter, logout; by keyboard alone, and without JavaScript."""

import urllib.request

from browser import choose, login, pages_of, visit


def login_refuses_a_wrong_token_and_opens_with_a_right_one(site, browser, screenshots):
    with browser.open() as (page, recorder):
        page.goto("/console/login")
        page.screenshot(path=screenshots / "login.png")
        page.fill("#token", "stg_wrong")
        page.click("#login-button")
        assert page.is_visible("#login-error"), page.content()
        # A token that is valid at the gateway, but opens no console.
        page.fill("#token", site.tokens["insurer-a"])
        page.click("#login-button")
        assert page.is_visible("#login-error"), page.content()
        login(page, site.viewer)
        assert page.inner_text("#who-party") == "bureau"
        cookies = page.context.cookies()
        for cookie in cookies:
            assert cookie["httpOnly"] and cookie["sameSite"] == "Strict", cookie
        problems = recorder.take()
        assert not problems, problems


def viewer_has_no_page_of_orders(site, browser, screenshots):
    with browser.enter(site.viewer) as (page, _):
        assert "orders" not in pages_of(page)
        assert page.goto("/console/orders").status == 403


def page_without_a_session_leads_to_the_login(site, browser, screenshots):
    with browser.open() as (page, _):
        page.goto("/console/requests")
        assert page.url.endswith("/console/login"), page.url
    # Nothing of the site is in the answer, and the policy is strict.
    with urllib.request.urlopen(site.url + "/console/login") as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy, policy
        assert b"insurer-a" not in answer.read()


def _tab_to(page, selector, most=80):
    """Presses Tab until the element has the focus, as a person without a mouse does; the focus must be visible on the way."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            outline = page.evaluate(
                "() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.boxShadow; }"
            )
            assert outline != "nonenone", f"{selector} has no visible focus"
            return
    raise AssertionError(f"{selector} is not reached by Tab from {page.url}")


def keyboard_alone_reaches_everything(site, browser, screenshots):
    with browser.open() as (page, recorder):
        page.goto("/console/login")
        _tab_to(page, "#token")
        page.keyboard.type(site.operator)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/overview")
        # The first stop is the link to the content.
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.matches('a.skip')")
        page.keyboard.press("Enter")
        assert page.evaluate("() => document.activeElement.id") == "content"
        for name in pages_of(page):
            page.goto("/console/overview")
            _tab_to(page, f"#nav-{name}")
            page.keyboard.press("Enter")
            page.wait_for_url(f"**/console/{name}*")
            assert page.get_attribute(f"#nav-{name}", "aria-current") == "page"
        _tab_to(page, "#language-zh")
        page.keyboard.press("Enter")
        page.wait_for_selector("html[lang^=zh]")
        _tab_to(page, "#theme-dark")
        page.keyboard.press("Space")
        page.wait_for_selector("html[data-theme=dark]")
        # The choice is kept on another page.
        page.goto("/console/requests")
        assert page.get_attribute("html", "data-theme") == "dark"
        field = page.query_selector("#content form input:not([type=hidden]), #content form select")
        if field:
            identifier = field.get_attribute("id")
            _tab_to(page, f"#{identifier}")
        _tab_to(page, "#logout-button")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/login")
        page.goto("/console/overview")
        assert page.url.endswith("/console/login"), page.url
        problems = recorder.take()
        assert not problems, problems


def console_works_without_javascript(site, browser, screenshots):
    with browser.open(java_script_enabled=False) as (page, recorder):
        login(page, site.operator)
        for name, path in pages_of_without_script(page).items():
            visit(page, path)
            assert len(page.inner_text("#content")) > 40, f"{name} is empty"
        choose(page, "language", "zh")
        assert page.get_attribute("html", "lang").startswith("zh")
        page.goto("/console/overview")
        page.click("#reload")
        page.click("#logout-button")
        page.wait_for_url("**/console/login")
        problems = recorder.take()
        assert not problems, problems


def pages_of_without_script(page):
    """As `pages_of`, for a browser that runs no script of the page."""
    links = page.query_selector_all("#navigation a")
    return {link.get_attribute("id").removeprefix("nav-"): link.get_attribute("href") for link in links}


def page_shows_a_change_without_reload(site, browser, screenshots):
    with browser.enter(site.viewer) as (page, recorder):
        before = page.inner_text("#live")
        site.insert(500)
        page.wait_for_function("before => document.getElementById('live').innerText !== before", arg=before)
        problems = recorder.take()
        assert not problems, problems


TESTS = (
    login_refuses_a_wrong_token_and_opens_with_a_right_one,
    viewer_has_no_page_of_orders,
    page_without_a_session_leads_to_the_login,
    keyboard_alone_reaches_everything,
    console_works_without_javascript,
    page_shows_a_change_without_reload,
)
