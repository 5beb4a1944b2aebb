//! Both sides connect in, and the front opens no connection: two network namespaces with one link, and every packet that leaves
//! the front recorded.

use std::fs;
use std::process::Command;

use harness::{Process, skip, slacktide};
use rusqlite::Connection;

use super::machine::Machine;
use crate::pipeline::site::DEADLINE;

/// The address of the front, and that of both sides.
const FRONT: &str = "10.77.0.1";
const SIDES: &str = "10.77.0.2";

/// A process namespace, too: every process left in it ends with its first process.
const NAMESPACES: [&str; 7] = [
    "--user",
    "--map-root-user",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// Runs in a user namespace as its root: the front in one network namespace, bureau and insurer in another, each with one end of a
/// link. `capture.py` records in the front's before anything starts.
const SCRIPT: &str = r#"
set -eu
mkfifo order
ip link set lo up
unshare --net sleep 600 & sides=$!
while [ "$(readlink /proc/$sides/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
ip link add front type veth peer name sides netns $sides
ip address add $FRONT/24 dev front && ip link set front up
in_sides() { nsenter --target $sides --net "$@"; }
in_sides ip link set lo up
in_sides ip address add $SIDES/24 dev sides && in_sides ip link set sides up
python3 capture.py front packets & capture=$!
until [ -e packets ]; do sleep 0.05; done
"$SLACKTIDE" front run --config front.toml 2>front.log & front=$!
until in_sides "$SLACKTIDE" exchange apply --yes --recipient insurer-a --config admin/admin.toml 2>apply.log; do kill -0 $front; sleep 0.2; done
(exec nsenter --target $sides --net "$SLACKTIDE" social run --config bureau/social.toml 2>social.log) & social=$!
(exec nsenter --target $sides --net "$SLACKTIDE" commercial run --config insurer-a/commercial.toml 2>commercial.log) & commercial=$!
read -r _ < order
kill $social $commercial && wait $social $commercial
kill $front && wait $front
kill $capture && wait $capture || true
kill $sides
echo ended
"#;

/// Records each packet of the interface as a line: direction, protocol, whether it opens a TCP connection.
const CAPTURE: &str = r#"
import os, signal, socket, sys
name, path = sys.argv[1], sys.argv[2]
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
packets.bind((name, 0))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with open(path + ".new", "w", buffering=1) as out:
    os.rename(path + ".new", path)
    while True:
        data, (_, _, kind, _, _) = packets.recvfrom(65535)
        direction = "out" if kind == socket.PACKET_OUTGOING else "in"
        ethertype = data[12] * 256 + data[13]
        if ethertype == 0x0800:
            protocol, tcp = data[23], data[14 + (data[14] & 15) * 4:]
            if protocol == 6:
                opens = tcp[13] & 0x12 == 0x02
                port = tcp[2] * 256 + tcp[3]
                print(direction, "tcp", "opens" if opens else "goes-on", port, file=out)
            else:
                print(direction, "ip", protocol, file=out)
        elif ethertype == 0x86DD:
            print(direction, "ipv6", data[20], file=out)
        else:
            print(direction, "link", hex(ethertype), file=out)
"#;

/// Returns whether this account may make namespaces and a link between them.
fn can_make_namespaces() -> bool {
    let script = "ip link add probe0 type veth peer name probe1 && unshare --net true && command -v nsenter python3 >/dev/null";
    let mut command = Command::new("unshare");
    command.args(NAMESPACES).args(["sh", "-c", script]);
    match command.output() {
        Ok(done) => done.status.success(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn front_in_a_namespace_opens_no_connection() {
    if !can_make_namespaces() {
        return skip("user and network namespaces, iproute2 and python3");
    }
    let machine = Machine::create(FRONT).await;
    machine.token().await;
    machine.write("script.sh", SCRIPT);
    machine.write("capture.py", CAPTURE);
    for file in ["bureau/social.toml", "insurer-a/commercial.toml"] {
        // Each namespace has ports of its own; the agents share one.
        let text = machine.read(file).replace(
            "[publisher]\nidle_poll = \"500ms\"",
            "[gate]\nmode = \"open\"\n[priority]\nown = false\n[publisher]\nidle_poll = \"500ms\"",
        );
        machine.write(file, &text);
    }
    let mut command = Command::new("unshare");
    command
        .args(NAMESPACES)
        .args(["bash", "script.sh"])
        .current_dir(machine.path())
        .env("SLACKTIDE", slacktide().get_program())
        .env("FRONT", FRONT)
        .env("SIDES", SIDES);
    let mut script = Process::spawn("namespaces", &mut command);
    let store = machine.file("insurer-a/store.db");
    script
        .until("a hundred rows to cross", DEADLINE, async || {
            let count = || -> rusqlite::Result<i64> {
                Connection::open(&store)?.query_row("SELECT count(*) FROM claim", [], |row| row.get(0))
            };
            match count() {
                Ok(100) => Ok(()),
                other => {
                    let logs = ["front.log", "apply.log", "social.log", "commercial.log"];
                    let ends = logs.map(|log| fs::read_to_string(machine.file(log)).unwrap_or_default());
                    Err(format!("{other:?}; {ends:?}"))
                }
            }
        })
        .await;
    fs::write(machine.file("order"), "stop\n").unwrap();
    let ended = script.wait_exit(DEADLINE).await;
    assert!(ended.success(), "{}", script.stderr());

    let packets = machine.read("packets");
    let opened = |direction: &str| {
        packets
            .lines()
            .filter(|line| line.starts_with(&format!("{direction} tcp opens")))
            .count()
    };
    assert!(opened("in") >= 3, "the parties connect in:\n{packets}");
    assert_eq!(opened("out"), 0, "the front opened a connection:\n{packets}");
    for line in packets.lines().filter(|line| line.starts_with("out ")) {
        // Besides answers in connections of others: address resolution, and neighbour discovery of the kernel.
        let is_answer = line.starts_with("out tcp goes-on")
            || line == "out link 0x806"
            || line == "out ipv6 58"
            || line == "out ipv6 0";
        assert!(is_answer, "{line}");
    }
}
