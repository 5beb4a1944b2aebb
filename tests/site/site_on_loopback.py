"""A real site on loopback: nats-server, both agents with a core and a store of SQLite, and a gateway with every party.

Used by tests/api and tests/console. Only the standard library; SLACKTIDE_BIN and SLACKTIDE_NATS_SERVER name the programs.
"""

import contextlib
import datetime
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTIES = ("admin", "bureau", "auditor", "insurer-a")
#: Far longer than anything here takes; only a failure reaches it.
DEADLINE = 60.0

FEED = """
[[feed]]
name = "claim"
sql = "SELECT id, psn_no, day, amount, updated_at FROM claim"
cursor = ["updated_at", "id"]
cursor_set_by = "application"
lag = "500ms"
key = ["id"]
money = ["amount"]
types = { amount = "numeric" }
recipients = ["insurer-a"]

[[kind]]
name = "claim.day"
sql = "SELECT day, count(*) AS claims, sum(amount) AS total FROM claim WHERE day = $1 GROUP BY day"
arguments = [{ name = "day", type = "date" }]
money = ["total"]
anonymous = true
feeds = ["claim"]
max_rows = 10
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["day", "claims", "total"]
"""


def free_port():
    """Returns a port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, deadline=DEADLINE):
    """Waits until the condition returns something true, and returns it."""
    until, last = time.monotonic() + deadline, None
    while time.monotonic() < until:
        try:
            last = condition()
            if last:
                return last
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            last = error
        time.sleep(0.1)
    raise RuntimeError(f"{what}: not within {deadline:.0f} s; last: {last!r}")


class Site:
    """A running site; use it as a context manager."""

    def __init__(self, rows=2_000, console=False):
        """`console` makes tokens that open the console, for a viewer of each party and for an operator of the bureau."""
        self.binary = os.environ.get("SLACKTIDE_BIN", str(ROOT / "target/debug/slacktide"))
        self.nats = os.environ.get("SLACKTIDE_NATS_SERVER", str(ROOT / ".tools/bin/nats-server"))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="slacktide-site-"))
        self.processes = {}
        self.ports = {name: free_port() for name in ("nats", "monitor", "social", "commercial", "gateway", "health")}
        self.url = f"http://127.0.0.1:{self.ports['gateway']}"
        self.rows, self.console = rows, console
        self.tokens, self.consoles, self.viewer, self.operator = {}, {}, "", ""

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Starts everything and waits until the rows are stored and a request is answered."""
        for program in (self.binary, self.nats):
            if not os.access(program, os.X_OK):
                raise SystemExit(f"{program} does not exist; run `make tools` and `cargo build --package slacktide`")
        for party in PARTIES:
            self.slacktide("keys", "new", "--out", f"keys/{party}")
        self._write_files()
        self._make_core()
        self._start_nats()
        wait_for("the exchange to take the streams", lambda: self._apply())
        self.start_gateway()
        self.spawn("social", self.binary, "social", "run", "--config", "social.toml")
        self.spawn("commercial", self.binary, "commercial", "run", "--config", "commercial.toml")
        wait_for("the rows to be stored", lambda: self.stored() == self.rows)

    def start_gateway(self):
        """Starts the gateway, which needs its file of tokens, and waits until it answers for every party."""
        self.tokens = {party: self.token(party) for party in PARTIES[1:]}
        if self.console:
            self.consoles = {party: self.token(party, "--console", "viewer") for party in PARTIES[1:]}
            self.viewer = self.consoles["bureau"]
            self.operator = self.token("bureau", "--console", "operator")
        self.spawn("gateway", self.binary, "gateway", "run", "--config", "gateway.toml")
        health = f"http://127.0.0.1:{self.ports['health']}/healthz"
        wait_for("the gateway to be healthy", lambda: urllib.request.urlopen(health, timeout=5).status == 200)

    def stop(self):
        """Stops every process that this site started, and removes its files."""
        # The servers last, because the agents close their connections.
        for process in reversed(list(self.processes.values())):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if not os.environ.get("SLACKTIDE_KEEP_SITE"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, name, *command, env=None):
        """Starts a process whose output goes into a file."""
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})}
            )

    def slacktide(self, *words, codes=(0,)):
        """Runs a command and returns its output."""
        done = subprocess.run([self.binary, *words], cwd=self.folder, capture_output=True, text=True, timeout=DEADLINE)
        if done.returncode not in codes:
            raise RuntimeError(f"slacktide {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *words, codes=(0,)):
        """Runs a command with --json and returns its value."""
        return json.loads(self.slacktide(*words, "--json", codes=codes))

    def token(self, party, *more):
        """Makes a token of the gateway."""
        return self.slacktide("gateway", "token", "new", "--party", party, *more, "--config", "gateway.toml").strip()

    def get(self, path, token=None, accept=None):
        """Sends a GET request to the gateway; returns status and body."""
        request = urllib.request.Request(self.url + path)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if accept:
            request.add_header("Accept", accept)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def file_request(self, day="2026-01-02", key=None):
        """Files a data request and returns its id."""
        words = ["request", "file", "--kind", "claim.day", "--arg", f"day={day}", "--purpose", "01", "--basis", "01"]
        words += ["--actor", "clerk", "--config", "commercial.toml"]
        words += ["--key", key] if key else []
        return self.json(*words)["items"][0]["id"]

    def wait_answered(self, request):
        """Waits until a request is answered and stored."""
        def answered():
            shown = self.slacktide("request", "show", request, "--json", "--config", "commercial.toml")
            return "stored_by_insurer" in shown or '"answered"' in shown
        wait_for(f"the answer of {request}", answered)

    def stored(self):
        """Returns the number of rows in the store."""
        path = f"file:{self.folder / 'store.db'}?mode=ro"
        try:
            with contextlib.closing(sqlite3.connect(path, uri=True, timeout=10)) as store:
                return store.execute("SELECT count(*) FROM claim").fetchone()[0]
        except sqlite3.OperationalError as error:
            # Neither the file nor the table is there at first.
            raise RuntimeError(str(error)) from error

    def insert(self, count):
        """Adds rows to the core."""
        with contextlib.closing(sqlite3.connect(self.folder / "core.db", timeout=10)) as core, core:
            first = core.execute("SELECT coalesce(max(id), 0) FROM claim").fetchone()[0]
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            core.executemany(
                "INSERT INTO claim VALUES (?, ?, ?, ?, ?)",
                [(first + n, f"p-{n % 97}", f"2026-01-{n % 28 + 1:02}", n / 100, now) for n in range(1, count + 1)],
            )
        self.rows = first + count

    def _make_core(self):
        with contextlib.closing(sqlite3.connect(self.folder / "core.db")) as core, core:
            core.execute("PRAGMA journal_mode = WAL")
            core.execute(
                "CREATE TABLE claim (id INTEGER PRIMARY KEY, psn_no TEXT NOT NULL, day TEXT NOT NULL,"
                " amount REAL NOT NULL, updated_at TEXT NOT NULL)"
            )
            core.execute("CREATE INDEX claim_changed ON claim (updated_at, id)")
            core.execute("CREATE INDEX claim_day ON claim (day)")
        self.insert(self.rows)

    def _public(self, party, kind):
        return (self.folder / "keys" / party / f"{kind}.pub").read_text().strip()

    def _party(self, user):
        exchange = f'[exchange]\nurl = "nats://127.0.0.1:{self.ports["nats"]}"\nuser = "{user}"\n'
        exchange += f'seed = {{ file = "keys/{user}/connect.seed" }}\n'
        return exchange if user in ("admin", "auditor") else exchange + f'[signing]\nseed = {{ file = "keys/{user}/sign.seed" }}\n'

    def _write_files(self):
        bureau, insurer = self._public("bureau", "sign"), self._public("insurer-a", "sign")
        roles = {"bureau": "bureau", "auditor": "auditor", "insurer-a": "recipient"}
        trust = f'[gateway.trust]\nbureau = ["{bureau}"]\ninsurer-a = ["{insurer}"]\n'
        console = f"console = true\n{trust}" if self.console else ""
        files = {
            "admin.toml": self._party("admin"),
            "auditor.toml": self._party("auditor")
            + f'[trust]\nchunks = ["{bureau}"]\nreceipts = ["{insurer}"]\nentries = ["{bureau}", "{insurer}"]\n',
            "social.toml": '[social]\nname = "bureau"\nsource = "core"\n'
            + self._party("bureau")
            + f'[trust.receipts]\ninsurer-a = ["{insurer}"]\n[source]\nkind = "sqlite"\npath = "core.db"\n'
            + '[gate]\nmode = "open"\n[publisher]\nidle_poll = "200ms"\n[requests]\ninterval = "200ms"\n'
            + f'[health]\nlisten = "127.0.0.1:{self.ports["social"]}"\n{FEED}',
            "commercial.toml": '[commercial]\nrecipient = "insurer-a"\n'
            + self._party("insurer-a")
            + f'[trust]\nchunks = ["{bureau}"]\n[store]\nkind = "sqlite"\npath = "store.db"\n[poll]\ninterval = "200ms"\n'
            + f'[health]\nlisten = "127.0.0.1:{self.ports["commercial"]}"\n',
            "gateway.toml": f'[gateway]\nlisten = "127.0.0.1:{self.ports["gateway"]}"\ntokens = "tokens.json"\n'
            + console
            + "[gateway.limits]\nrequests_per_second = 100000\nburst = 100000\nmax_wait = \"1s\"\n"
            + f'[exchange]\nurl = "nats://127.0.0.1:{self.ports["nats"]}"\n'
            + "".join(
                f'[[party]]\nname = "{party}"\nrole = "{role}"\nseed = {{ file = "keys/{party}/connect.seed" }}\n'
                for party, role in roles.items()
            )
            + f'[health]\nlisten = "127.0.0.1:{self.ports["health"]}"\n',
        }
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def _start_nats(self):
        shutil.copytree(ROOT / "nats", self.folder / "exchange", ignore=shutil.ignore_patterns("src", "tests", "Cargo.toml"))
        env = {
            "SLACKTIDE_LISTEN": f"127.0.0.1:{self.ports['nats']}",
            "SLACKTIDE_MONITOR": f"127.0.0.1:{self.ports['monitor']}",
            "SLACKTIDE_STORE": str(self.folder / "streams"),
        }
        for party in PARTIES:
            env[f"SLACKTIDE_{party.upper().replace('-', '_')}_NKEY"] = self._public(party, "connect")
        self.spawn("nats", self.nats, "--config", "exchange/server.conf", env=env)

    def _apply(self):
        self.slacktide("exchange", "apply", "--yes", "--config", "admin.toml")
        return True
