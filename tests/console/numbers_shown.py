"""The numbers and states of each page equal those of the command line."""

import contextlib
import json
import sqlite3

from site_on_loopback import wait_for

from browser import visit


def _equal(what, shown, expected):
    """Waits until what is shown equals what the command line shows: a report may be a moment old."""
    def compare():
        is_shown, is_expected = shown(), expected()
        if is_shown == is_expected:
            return True
        raise RuntimeError(f"shown {is_shown}, expected {is_expected}")
    wait_for(what, compare)


def overview_equals_status(site, browser, screenshots):
    for party, config, position in (("bureau", "social.toml", "number"), ("insurer-a", "commercial.toml", "frontier")):
        with browser.enter(site.consoles[party]) as (page, _):

            def shown():
                lanes = {}
                for row in page.query_selector_all(f"tr[id^='lane-{party}']"):
                    lanes[row.get_attribute("data-name")] = (
                        row.get_attribute("data-state"),
                        row.query_selector("td.number").inner_text(),
                    )
                return lanes

            def expected():
                status = site.json("status", "--config", config, codes=range(13))["agent"]["page"]
                return {
                    name: (judged["state"], f"{status['lanes'][name]['epoch']}.{status['lanes'][name][position]}")
                    for name, judged in status["states"].items()
                }

            _equal(f"the overview of {party}", shown, expected)
            assert shown(), "no lane is shown"


def streams_equal_exchange_status(site, browser, screenshots):
    with browser.enter(site.consoles["insurer-a"]) as (page, _):

        def shown():
            visit(page, "/console/streams")
            streams = {}
            for row in page.query_selector_all("tr[id^='stream-']"):
                name = row.get_attribute("id").removeprefix("stream-")
                used = row.query_selector("data").get_attribute("value")
                streams[name] = (int(row.query_selector("td.number").inner_text().replace(",", "")), int(used))
            return streams

        def expected():
            streams = site.json("exchange", "status", "--config", "admin.toml")["items"]
            known = {stream["name"]: (stream["messages"], stream["bytes"]) for stream in streams}
            return {name: known[name] for name in shown()}

        # The streams of statuses grow all the time.
        def steady(streams):
            return {name: value for name, value in streams.items() if not name.startswith("STATUS_")}

        _equal("the streams", lambda: steady(shown()), lambda: steady(expected()))
        assert "REQUESTS_insurer-a" in shown(), shown()


def requests_equal_request_show(site, browser, screenshots):
    with browser.enter(site.consoles["insurer-a"]) as (page, _):

        def shown():
            visit(page, "/console/requests")
            cells = page.query_selector_all("td[id^='request-'][data-state]")
            return {
                cell.get_attribute("id").removeprefix("request-").removesuffix("-state"): cell.get_attribute("data-state")
                for cell in cells
            }

        def expected():
            ids = [item["id"] for item in site.json("request", "list", "--config", "commercial.toml")["items"]]
            return set(ids)

        _equal("the requests", lambda: set(shown()), expected)
        states = shown()
        assert len(states) >= 3, states
        for identifier, state in states.items():
            steps = site.json("request", "show", identifier, "--config", "commercial.toml")["steps"]
            assert state in {step["state"] for step in steps}, (identifier, state, steps)
        # One request's whole history.
        identifier = next(iter(states))
        page.click(f"#request-{identifier} a")
        page.wait_for_selector("#content h1")
        assert identifier in page.inner_text("#content"), page.url


def quarantine_equals_quarantine_list(site, browser, screenshots):
    # A row that no one can carry: an amount that is not a number.
    with contextlib.closing(sqlite3.connect(site.folder / "core.db", timeout=10)) as core, core:
        core.execute("INSERT OR IGNORE INTO claim VALUES (900000001, 'p', '2026-01-01', 'much', strftime('%Y-%m-%d %H:%M:%f', 'now'))")

    def listed():
        entries = site.json("quarantine", "list", "--config", "commercial.toml")["items"]
        return len(entries)

    wait_for("the reject to be in quarantine", lambda: listed() > 0)
    with browser.enter(site.consoles["insurer-a"]) as (page, _):

        def shown():
            visit(page, "/console/quarantine")
            counts = page.query_selector_all("tr[id^='quarantine-'] td.number")
            return sum(int(cell.inner_text().replace(",", "")) for cell in counts)

        _equal("the quarantine", shown, listed)


def gate_equals_gate_explain(site, browser, screenshots):
    gate = site.json("gate", "explain", "--config", "social.toml")["gate"]
    with browser.enter(site.consoles["bureau"]) as (page, _):
        visit(page, "/console/gate")

        def shown():
            states = page.query_selector_all("#content [data-state]")
            return {state.get_attribute("data-state") for state in states}

        wait_for("the gate's state", lambda: gate["state"] in shown())
        assert gate["reason"] in page.inner_text("#content"), page.inner_text("#content")


def no_page_shows_what_the_party_may_not_read(site, browser, screenshots):
    """The rows themselves, keys and tokens are on no page."""
    secrets = [(site.folder / "keys" / party / f"{kind}.seed").read_text().strip() for party in ("bureau", "insurer-a") for kind in ("connect", "sign")]
    secrets += list(site.tokens.values()) + list(site.consoles.values()) + ["p-17"]
    with browser.enter(site.operator) as (page, _):
        for link in page.query_selector_all("#navigation a"):
            path = link.get_attribute("href")
            body = page.request.get(path).text()
            found = [secret[:6] for secret in secrets if secret in body]
            assert not found, f"{path} shows {json.dumps(found)}"


TESTS = (
    overview_equals_status,
    streams_equal_exchange_status,
    requests_equal_request_show,
    quarantine_equals_quarantine_list,
    gate_equals_gate_explain,
    no_page_shows_what_the_party_may_not_read,
)
