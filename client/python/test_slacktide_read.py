"""The reader against a gateway that cuts, alters and repeats: python3 -m unittest in this folder."""
import hashlib, http.server, json, os, subprocess, sys, tempfile, threading, unittest, urllib.parse

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "slacktide_read.py")
CHUNKS, PER_CHUNK = 20, 50


def row(number, is_csv):
    return f"1,{number},false,{number}\r\n" if is_csv else json.dumps({"epoch": 1, "number": number, "deleted": False, "row": {"id": number}}) + "\n"


class Gateway(http.server.BaseHTTPRequestHandler):
    faults = []

    def log_message(self, *_):
        pass

    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        is_csv, first = self.headers["Accept"] == "text/csv", int(query.get("after", "1.0.0.0").split(".")[1])
        if self.headers["Authorization"] != "Bearer stg_test" or first > CHUNKS:
            self.send_response(410)
            self.end_headers()
            return self.wfile.write(b'{"detail":"start again"}')
        last = min(first + int(query["max"]), CHUNKS)
        if first == last:
            self.send_response(204)
            return self.end_headers()
        numbers = range(first * PER_CHUNK, last * PER_CHUNK)
        text = ("_epoch,_number,_deleted,id\r\n" if is_csv else "") + "".join(row(number, is_csv) for number in numbers)
        digest, next_, caught_up = hashlib.sha256(text.encode()).hexdigest(), f"1.{last}.0.0", last == CHUNKS
        fault = Gateway.faults.pop(0) if Gateway.faults else None
        if fault == "digest":
            digest = "0" * 64
        end = {"rows": len(numbers), "digest": f"sha-256:{digest}", "next": next_, "is_caught_up": caught_up}
        end = f"#end,{len(numbers)},sha-256:{digest},{next_},{str(caught_up).lower()},max,\r\n" if is_csv else json.dumps({"end": end}) + "\n"
        body = (text if fault == "no end" else text[: len(text) // 2] if fault == "half" else text + end).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


class ReaderTest(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out, self.profile = os.path.join(folder.name, "rows"), os.path.join(folder.name, "profile.json")
        self.write_profile("stg_test")

    def write_profile(self, token):
        endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        with open(self.profile, "w", encoding="utf-8") as file:
            json.dump({"endpoint": endpoint, "token": token}, file)

    def run_reader(self, *more):
        line = [sys.executable, SCRIPT, "--profile", self.profile, "--feed", "claims", "--out", self.out, *more]
        return subprocess.run(line, capture_output=True, text=True, check=False)

    def read(self):
        with open(self.out, "rb") as file:
            return file.read().decode()

    def test_cut_or_altered_downloads_leave_each_row_once(self):
        for is_csv in (False, True):
            for faults in ([], ["no end"], ["half", "digest"], [None, "half", None, "no end"]):
                with self.subTest(is_csv=is_csv, faults=faults):
                    for file in (self.out, self.out + ".cursor"):
                        if os.path.exists(file):
                            os.remove(file)
                    Gateway.faults = list(faults)
                    done = self.run_reader("--max", "7", *(["--csv"] if is_csv else []))
                    self.assertEqual(done.returncode, 0, done.stderr)
                    header = "_epoch,_number,_deleted,id\r\n" if is_csv else ""
                    self.assertEqual(self.read(), header + "".join(row(number, is_csv) for number in range(CHUNKS * PER_CHUNK)))

    def test_rows_behind_the_position_are_read_again(self):
        self.assertEqual(self.run_reader("--max", "7").returncode, 0)
        whole = self.read()
        with open(self.out + ".cursor", "w", encoding="utf-8") as file:
            json.dump({"next": "1.7.0.0", "bytes": len("".join(row(number, False) for number in range(7 * PER_CHUNK)))}, file)
        with open(self.out, "a", encoding="utf-8") as file:
            file.write("half a row")
        self.assertEqual(self.run_reader("--max", "7").returncode, 0)
        self.assertEqual(self.read(), whole)

    def test_a_refusal_ends_with_its_reason(self):
        self.write_profile("stg_other")
        done = self.run_reader()
        self.assertEqual(done.returncode, 1)
        self.assertIn("start again", done.stderr)


if __name__ == "__main__":
    unittest.main()
