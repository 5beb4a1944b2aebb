//! Every command of docs/install.md, as a newcomer would type them one after the other.
//!
//! The ports are this test's own. Two programs are stood in for: `cargo`, which has built the binary already, and
//! `psql`, which is not among the tools: what it is asked goes to the test, which asks the real databases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{Postgres, PostgresOptions, Process, free_port, nats_server_binary, slacktide, workspace};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::shell::{commands, leashed, program};

/// It waits for agents that try again every few seconds.
const PATIENCE: Duration = Duration::from_secs(240);

/// The stand-ins, and what makes background programs end with the shell.
fn programs(folder: &Path) -> PathBuf {
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let built = slacktide().get_program().to_owned();
    let built = Path::new(&built);
    program(
        &bin,
        "cargo",
        &format!(
            "#!/bin/sh\n[ \"$*\" = 'build --release --locked --package slacktide' ] || exit 1\n\
             mkdir -p target/release && printf '#!/bin/sh\\nexec setpriv --pdeathsig KILL {} \"$@\"\\n' > target/release/slacktide\n",
            built.display()
        ),
    );
    program(&bin, "nats-server", &leashed(&nats_server_binary()));
    // Asks by a file, and waits for the answer.
    program(
        &bin,
        "psql",
        "#!/bin/bash\nset -e\nurl=$1; shift\nwhile [ $# -gt 1 ]; do shift; done\n\
         ask=$(mktemp -d \"$SPOOL/ask.XXXXXX\")\nprintf '%s\\n%s' \"$url\" \"$1\" > \"$ask/new\"; mv \"$ask/new\" \"$ask/query\"\n\
         while [ ! -e \"$ask/answer\" ]; do sleep 0.02; done\ncat \"$ask/answer\"; exit \"$(cat \"$ask/code\")\"\n",
    );
    bin
}

/// Answers what `psql` is asked, for as long as it is polled.
async fn answer(spool: PathBuf) {
    loop {
        for entry in fs::read_dir(&spool).unwrap().flatten() {
            let folder = entry.path();
            let Ok(query) = fs::read_to_string(folder.join("query")) else {
                continue;
            };
            fs::remove_file(folder.join("query")).unwrap();
            let (url, sql) = query.split_once('\n').unwrap();
            let (code, text) = match ask(url, sql).await {
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

async fn ask(url: &str, sql: &str) -> Result<String, tokio_postgres::Error> {
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
async fn every_command_of_the_install_guide_does_what_it_says() {
    let home = tempfile::tempdir().unwrap();
    let bin = programs(home.path());
    let spool = home.path().join("spool");
    fs::create_dir(&spool).unwrap();
    let postgres = Postgres::private(PostgresOptions::default()).await;
    postgres.admin().execute("CREATE DATABASE core").await;
    postgres.admin().execute("CREATE DATABASE insurer").await;

    // A checkout, as far as the guide takes from it.
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
        // Job control, for `kill %1`; the first command that fails ends it, and each is shown.
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
        ended = guide.wait_exit(PATIENCE) => ended,
        () = answer(spool) => unreachable!("it answers for ever"),
    };
    assert!(
        ended.success(),
        "{ended}:\n{}\n{}",
        guide.stdout(),
        guide.stderr()
    );
    for said in [
        "GRANT SELECT ON",
        "pg_read_all_stats",
        "as expected: SELECT is missing",
    ] {
        assert!(
            guide.stdout().contains(said),
            "nothing said {said:?}:\n{}\n{}",
            guide.stdout(),
            guide.stderr()
        );
    }
}
