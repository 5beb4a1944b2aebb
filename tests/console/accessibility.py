"""Every page in both languages and both themes: axe-core finds nothing, nothing is loaded from elsewhere, no script fails; the
layout holds at 400 % zoom and on a phone."""

from axe_playwright_python.sync_playwright import Axe

from browser import AXE_OPTIONS, PHONE, ZOOMED, choose, pages_of, visit

LANGUAGES = ("en", "zh")
THEMES = ("light", "dark")


def _violations(page, where):
    """Returns what axe-core finds on a page, each with its element."""
    found = []
    for violation in Axe().run(page, options=AXE_OPTIONS).response["violations"]:
        for node in violation["nodes"]:
            summary = node.get("failureSummary", "").replace("\n", " ")
            found.append(f"{where}: {violation['id']}: {node['html'][:160]}: {summary[:200]}")
    return found


def _check(problems):
    assert not problems, "\n" + "\n".join(problems[:40])


def axe_finds_nothing_on_any_page(site, browser, screenshots):
    problems, checked = [], 0
    with browser.open() as (page, _):
        for path in ("/console/login", "/console/no-such-page"):
            page.goto(path)
            problems += _violations(page, path)
    with browser.enter(site.operator) as (page, recorder):
        pages = pages_of(page)
        for language in LANGUAGES:
            choose(page, "language", language)
            for theme in THEMES:
                choose(page, "theme", theme)
                for name, path in pages.items():
                    visit(page, path)
                    where = f"{name} {language} {theme}"
                    problems += _violations(page, where)
                    page.screenshot(path=screenshots / f"{name}-{language}-{theme}.png", full_page=True)
                    problems += [f"{where}: {problem}" for problem in recorder.take()]
                    checked += 1
    assert checked >= 9 * len(LANGUAGES) * len(THEMES), f"only {checked} pages were checked"
    _check(problems)


def pages_fit_at_400_percent_zoom(site, browser, screenshots):
    problems = []
    for viewport, name in ((ZOOMED, "zoom"), (PHONE, "phone")):
        with browser.enter(site.operator, viewport=viewport) as (page, recorder):
            for language in LANGUAGES:
                choose(page, "language", language)
                for page_name, path in pages_of(page).items():
                    visit(page, path)
                    wide = page.evaluate(
                        "() => [document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth,"
                        " [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right >"
                        " document.scrollingElement.clientWidth + 1 && !e.closest('.scroll') && !e.closest('.hidden'))"
                        ".slice(0, 3).map(e => e.outerHTML.slice(0, 120))]"
                    )
                    where = f"{page_name} {language} {name}"
                    if wide[0] > wide[1]:
                        problems.append(f"{where}: {wide[0]} pixels in {wide[1]}: {wide[2]}")
                    page.screenshot(path=screenshots / f"{page_name}-{language}-{name}.png", full_page=True)
                    problems += [f"{where}: {problem}" for problem in recorder.take()]
    _check(problems)


def pages_are_complete_in_both_languages(site, browser, screenshots):
    """No key of a text is shown in its place, and the Chinese pages have Chinese headings."""
    problems = []
    with browser.enter(site.operator) as (page, _):
        headings = {}
        for language in LANGUAGES:
            choose(page, "language", language)
            assert page.get_attribute("html", "lang").startswith(language)
            for name, path in pages_of(page).items():
                visit(page, path)
                headings[name, language] = page.inner_text("h1")
                text = page.inner_text("body")
                keys = [word for word in text.split() if word.count(".") >= 1 and word.split(".")[0] == name]
                problems += [f"{name} {language}: a key of a text: {key}" for key in keys]
        for name, language in headings:
            if language == "zh" and headings[name, "zh"] == headings[name, "en"]:
                problems.append(f"{name}: the heading is the same in both languages: {headings[name, 'en']}")
    _check(problems)


TESTS = (axe_finds_nothing_on_any_page, pages_fit_at_400_percent_zoom, pages_are_complete_in_both_languages)
