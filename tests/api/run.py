"""Runs schemathesis against the gateway of a real site: `make test-api`.

For each party with its token, once with any names and once with those of the site, and without a credential. Ends with
`N passed, N failed` for the runs; the reports are in target/api.
"""

import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "site"))

from site_on_loopback import ROOT, Site  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SEED = os.environ.get("SLACKTIDE_API_SEED", "20260131")
EXAMPLES = os.environ.get("SLACKTIDE_API_EXAMPLES", "20")

#: Names of the site, so that the operations find something.
KNOWN = """
[parameters]
"path.recipient" = "insurer-a"
"query.recipient" = "insurer-a"
"path.feed" = "claim"
"path.id" = "{id}"
"path.party" = "insurer-a"
"""

#: The bureau and the auditor have to name the recipient, which depends on the credential and not on the operation.
MAY_MISS_RECIPIENT = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "400", "401", "403", "404", "406", "409", "410", "412", "422", "429", "5xx"]
"""


def run(site, name, token, config, mode, report):
    """Runs schemathesis once; returns whether it found nothing, and prints what it found."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "--no-color"]
    command += ["run", f"{site.url}/openapi.json", "--checks", "all", "--seed", SEED, "--max-examples", EXAMPLES]
    command += ["--continue-on-failure", "--suppress-health-check", "all", "--request-timeout", "60"]
    command += ["--report", "ndjson", "--report-ndjson-path", str(report / f"{name}.ndjson")]
    command += ["--mode", mode]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    command += os.environ.get("SLACKTIDE_API_ARGS", "").split()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".tools/pip/schemathesis"), "SCHEMATHESIS_HOOKS": "hooks"}
    environment["PYTHONPATH"] += os.pathsep + str(HERE)
    started = time.monotonic()
    done = subprocess.run(command, cwd=site.folder, env=environment, capture_output=True, text=True, timeout=900)
    (report / f"{name}.txt").write_text(done.stdout + done.stderr)
    cases = re.search(r"([\d,]+) generated", done.stdout)
    cases = cases.group(1) if cases else "no"
    verdict = "nothing found" if done.returncode == 0 else f"FAILED with {done.returncode}"
    print(f"=== {name}: {cases} cases in {time.monotonic() - started:.0f} s: {verdict}", flush=True)
    if done.returncode:
        print(done.stdout[-20_000:], done.stderr[-2_000:], flush=True)
    return done.returncode == 0


def main():
    report = ROOT / "target/api"
    report.mkdir(parents=True, exist_ok=True)
    text = (HERE / "schemathesis.toml").read_text()
    only = sys.argv[1:]
    results = []
    with Site() as site:
        request = site.file_request(key="api")
        site.wait_answered(request)
        plain, known, named = (site.folder / f"{name}.toml" for name in ("any", "known", "named"))
        plain.write_text(text)
        known.write_text(KNOWN.format(id=request) + text)
        begin, end = text.index("[checks.positive_data_acceptance]"), text.index("[checks.missing_required_header]")
        named.write_text(text[:begin] + MAY_MISS_RECIPIENT + "\n" + text[end:])
        for party in ("insurer-a", "bureau", "auditor", None):
            token = site.tokens.get(party)
            any_names = named if party in ("bureau", "auditor") else plain
            # A name that is set is valid where an invalid one is asked for.
            for names, config, mode in (("any-names", any_names, "all"), ("names-of-the-site", known, "positive")):
                name = f"{party or 'no-credential'}-{names}"
                if not only or any(part in name for part in only):
                    results.append(run(site, name, token, config, mode, report))
        status, _ = site.get("/v1/ping", site.tokens["insurer-a"])
        if status != 200:
            print(f"the gateway answers {status} afterwards", flush=True)
            results.append(False)
    failed = results.count(False)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
