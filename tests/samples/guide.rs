//! Every command of docs/install.md and of the quick start of docs/gateway.md, executed in order as a new user would.
//!
//! The ports are private to this test. Two programs are replaced by stubs: `cargo`, which has built the binary already, and
//! `psql`, which is not among the tools: its queries go to the test, which runs them on the real databases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{Postgres, PostgresOptions, Process, free_port, nats_server_binary, slacktide, workspace};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::shell::{commands, guarded_program, write_program};

/// Deadline; the guide waits for agents that retry every few seconds.
const DEADLINE: Duration = Duration::from_secs(240);

/// Writes the stubs, and a wrapper that ends background programs with the shell.
fn write_stubs(folder: &Path) -> PathBuf {
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let built = slacktide().get_program().to_owned();
    let built = Path::new(&built);
    write_program(
        &bin,
        "cargo",
        &format!(
            "#!/bin/sh\n[ \"$*\" = 'build --release --locked --package slacktide' ] || exit 1\n\
             mkdir -p target/release && printf '#!/bin/sh\\nexec setpriv --pdeathsig KILL {} \"$@\"\\n' > target/release/slacktide\n",
            built.display()
        ),
    );
    write_program(&bin, "nats-server", &guarded_program(&nats_server_binary()));
    // Writes a query to a file and waits for the answer.
    write_program(
        &bin,
        "psql",
        "#!/bin/bash\nset -e\nurl=$1; shift\nwhile [ $# -gt 1 ]; do shift; done\n\
         ask=$(mktemp -d \"$SPOOL/ask.XXXXXX\")\nprintf '%s\\n%s' \"$url\" \"$1\" > \"$ask/new\"; mv \"$ask/new\" \"$ask/query\"\n\
         while [ ! -e \"$ask/answer\" ]; do sleep 0.02; done\ncat \"$ask/answer\"; exit \"$(cat \"$ask/code\")\"\n",
    );
    bin
}

/// Answers the queries of `psql` as long as it is polled.
async fn answer_queries(spool: PathBuf) {
    loop {
        for entry in fs::read_dir(&spool).unwrap().flatten() {
            let folder = entry.path();
            let Ok(request) = fs::read_to_string(folder.join("query")) else {
                continue;
            };
            fs::remove_file(folder.join("query")).unwrap();
            let (url, sql) = request.split_once('\n').unwrap();
            let (code, text) = match query(url, sql).await {
                Ok(rows) => ("0", rows),
                Err(error) => ("1", format!("ERROR: {error}\n")),
            };
            fs::write(folder.join("code"), code).unwrap();
            fs::write(folder.join("new"), text).unwrap();
            fs::rename(folder.join("new"), folder.join("answer")).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn query(url: &str, sql: &str) -> Result<String, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let mut text = String::new();
    for message in client.simple_query(sql).await? {
        if let SimpleQueryMessage::Row(row) = message {
            text.push_str(row.get(0).unwrap_or_default());
            text.push('\n');
        }
    }
    Ok(text)
}

/// Executes commands as a new user would, in a copy of the checkout, and returns what they printed.
async fn execute(what: &str, mut script: String, ports: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let bin = write_stubs(home.path());
    let spool = home.path().join("spool");
    fs::create_dir(&spool).unwrap();
    let postgres = Postgres::private(PostgresOptions::default()).await;
    postgres.admin().execute("CREATE DATABASE core").await;
    postgres.admin().execute("CREATE DATABASE insurer").await;

    // A checkout with the files that the pages use.
    let checkout = home.path().join("checkout");
    fs::create_dir(&checkout).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .args([workspace().join("nats"), workspace().join("client")])
        .arg(&checkout)
        .status()
        .unwrap();
    assert!(copied.success());

    let databases = ("5432", postgres.port());
    let own = ports.iter().map(|port| (*port, free_port()));
    for (port, own) in [databases].into_iter().chain(own) {
        assert!(
            script.contains(&format!("127.0.0.1:{port}")),
            "{what} has no port {port}"
        );
        script = script.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{own}"));
    }
    fs::write(home.path().join("guide.sh"), script).unwrap();
    let mut command = Command::new("bash");
    command
        // Job control for `kill %1`; the first failing command ends the script, and each command is printed.
        .args(["-m", "-e", "-x"])
        .arg(home.path().join("guide.sh"))
        .current_dir(&checkout)
        .env("HOME", home.path())
        .env("SPOOL", &spool)
        .env(
            "PATH",
            format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()),
        );
    let mut guide = Process::spawn(what, &mut command);
    let ended = tokio::select! {
        ended = guide.wait_exit(DEADLINE) => ended,
        () = answer_queries(spool) => unreachable!("answers without end"),
    };
    let printed = format!("{}\n{}", guide.stdout(), guide.stderr());
    assert!(ended.success(), "{ended}:\n{printed}");
    printed
}

fn page(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn install_guide_commands_work() {
    let script = commands(&page("docs/install.md"));
    let printed = execute("docs/install.md", script, &["4222", "8222", "9101", "9102"]).await;
    for expected in [
        "GRANT SELECT ON",
        "pg_read_all_stats",
        "as expected: SELECT is missing",
    ] {
        assert!(printed.contains(expected), "no output {expected:?}:\n{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_quick_start_commands_work() {
    let (install, gateway) = (page("docs/install.md"), page("docs/gateway.md"));
    // The gateway joins the running site.
    let (install, _) = install.split_once("\n## Something goes wrong\n").unwrap();
    let (_, quick_start) = gateway.split_once("\n## Quick start\n").unwrap();
    let (quick_start, _) = quick_start.split_once("\n## ").unwrap();
    let script = commands(install) + &commands(quick_start) + "tail -n 1 visits.ndjson\n";
    let ports = ["4222", "8222", "9101", "9102", "8443"];
    let printed = execute("the quick start of docs/gateway.md", script, &ports).await;
    for expected in [
        // 1,000 rows, and the one that was changed.
        "#end,1001,",
        "patient 1002",
        "\"outcome\":\"answered\"",
        "17,0.17,",
        "#end,1,",
    ] {
        assert!(printed.contains(expected), "no output {expected:?}:\n{printed}");
    }
}
