//! Every command of docs/install.md, executed in order as a new user would.
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

#[tokio::test(flavor = "multi_thread")]
async fn install_guide_commands_work() {
    let home = tempfile::tempdir().unwrap();
    let bin = write_stubs(home.path());
    let spool = home.path().join("spool");
    fs::create_dir(&spool).unwrap();
    let postgres = Postgres::private(PostgresOptions::default()).await;
    postgres.admin().execute("CREATE DATABASE core").await;
    postgres.admin().execute("CREATE DATABASE insurer").await;

    // A checkout with the files that the guide uses.
    let checkout = home.path().join("checkout");
    fs::create_dir(&checkout).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(workspace().join("nats"))
        .arg(&checkout)
        .status()
        .unwrap();
    assert!(copied.success());

    let mut script = commands(&fs::read_to_string(workspace().join("docs/install.md")).unwrap());
    for (port, own) in [
        ("5432", postgres.port()),
        ("4222", free_port()),
        ("8222", free_port()),
        ("9101", free_port()),
        ("9102", free_port()),
    ] {
        assert!(
            script.contains(&format!("127.0.0.1:{port}")),
            "the guide has no port {port}"
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
    let mut guide = Process::spawn("the install guide", &mut command);
    let ended = tokio::select! {
        ended = guide.wait_exit(DEADLINE) => ended,
        () = answer_queries(spool) => unreachable!("answers without end"),
    };
    assert!(
        ended.success(),
        "{ended}:\n{}\n{}",
        guide.stdout(),
        guide.stderr()
    );
    for expected in [
        "GRANT SELECT ON",
        "pg_read_all_stats",
        "as expected: SELECT is missing",
    ] {
        assert!(
            guide.stdout().contains(expected),
            "no output {expected:?}:\n{}\n{}",
            guide.stdout(),
            guide.stderr()
        );
    }
}
