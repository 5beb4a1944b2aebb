#!/usr/bin/env python3
"""Appends the rows of a Slacktide feed to a file, over the HTTP gateway: each row once, also after a kill. Standard library only."""
import argparse, hashlib, http.client, json, os, ssl, sys, time, urllib.error, urllib.parse, urllib.request
from pathlib import Path


def parse_end(line, is_csv):
    """Returns the end record in the last line of a download, or None if the download was cut off."""
    if not is_csv:
        return json.loads(line).get("end") if line.endswith(b"}\n") else None
    fields = line.decode().removesuffix("\r\n").split(",")
    is_whole = fields[0] == "#end" and len(fields) == 7 and line.endswith(b"\r\n")
    return {"digest": fields[2], "next": fields[3], "is_caught_up": fields[4] == "true"} if is_whole else None


def download(profile, args, after, out):
    """Appends the rows of one download and returns its end record, or None if there is no new row."""
    query = urllib.parse.urlencode({"max": args.max, "wait": args.wait} | ({"after": after} if after else {}))
    headers = {"Authorization": f"Bearer {profile['token']}", "Accept": "text/csv" if args.csv else "application/x-ndjson"}
    request = urllib.request.Request(f"{profile['endpoint']}/v1/feeds/{args.feed}/rows?{query}", headers=headers)
    context = ssl.create_default_context(cadata=profile.get("ca"))
    with urllib.request.urlopen(request, context=context, timeout=args.wait + 60) as body:
        if body.status == 204:
            return None
        out.seek(0)
        header, digest, held = out.readline() if args.csv else b"", hashlib.sha256(), b""
        out.seek(0, os.SEEK_END)
        for line in body:  # the last line is the end record and no row
            if header and held.startswith(b"_epoch,") and header != held:
                sys.exit("the columns changed: continue with a new --out; copy `next` of the .cursor file, with bytes 0")
            digest.update(held)
            out.write(b"" if header == held else held)
            held = line
    end = parse_end(held, args.csv)
    if end is None or end["digest"] != f"sha-256:{digest.hexdigest()}":
        raise ConnectionError("the download was cut off: its end record is missing or does not match")
    return end


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", required=True, help="the file of `slacktide gateway profile new`")
    parser.add_argument("--feed", required=True, help="the feed to read")
    parser.add_argument("--out", required=True, help="the file that rows are appended to; OUT.cursor keeps the position")
    parser.add_argument("--csv", action="store_true", help="CSV instead of NDJSON")
    parser.add_argument("--max", type=int, default=100, help="chunks of one download")
    parser.add_argument("--wait", type=int, default=0, help="wait so many seconds for new rows, then end")
    args = parser.parse_args()
    profile = json.loads(Path(args.profile).read_text(encoding="utf-8"))
    cursor, retries, end = Path(args.out + ".cursor"), 0, {"is_caught_up": False}
    position = json.loads(cursor.read_text(encoding="utf-8")) if cursor.exists() else {"next": None, "bytes": 0}
    with open(args.out, "ab+") as out:
        while args.wait or not end["is_caught_up"]:
            out.truncate(position["bytes"])  # what is behind it came from a download that did not end
            try:
                end = download(profile, args, position["next"], out)
            except (OSError, http.client.HTTPException) as error:
                is_refused = isinstance(error, urllib.error.HTTPError) and error.code not in (429, 500, 502, 503, 504)
                retries += 1
                if is_refused or retries > 5:
                    sys.exit(f"{error}: {error.read().decode()}" if is_refused else f"{error}; run it again to continue")
                time.sleep(retries)
                continue
            if end is None:
                return
            out.flush()
            os.fsync(out.fileno())
            position, retries = {"next": end["next"], "bytes": out.seek(0, os.SEEK_END)}, 0
            with open(args.out + ".cursor.new", "w", encoding="utf-8") as file:
                json.dump(position, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(file.name, cursor)  # only now are the rows read


if __name__ == "__main__":
    main()
