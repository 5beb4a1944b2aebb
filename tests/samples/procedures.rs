//! Every command of docs/procedures.md, in order, while rows flow; the result of each procedure is checked afterwards.
//!
//! The ports are private to this test. After each procedure the shell waits until the test has checked the result.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{
    Background, Finished, Process, free_port, nats_server_binary, run, slacktide, until, until_with_progress,
    workspace,
};
use rusqlite::Connection;
use serde_json::Value;

use super::shell::{commands, guarded_program, write_program};
use crate::tls::site::write;

/// Deadline of a section's commands, and of a wait without progress: agents retry every few seconds.
const DEADLINE: Duration = Duration::from_secs(180);

/// The ports of `keys site` and of the page.
const PORTS: [u16; 7] = [4222, 8222, 9101, 9102, 9103, 9104, 9105];

/// Persons whose rows no insurer may have: one on the block list, and one that is held.
const KEPT_BACK: &str = "('person 7', 'person 9')";

/// One row as text, without the masked column.
const ROW: &str = "id || '|' || updated_at || '|' || printf('%.2f', amount) || '|' || memo";

/// Splits the page at its headings: the commands of each section, by its name.
fn sections(page: &str) -> Vec<(String, String)> {
    let parts = page.split("\n## ").skip(1);
    parts
        .map(|part| {
            let (name, text) = part.split_once('\n').unwrap();
            (name.to_owned(), commands(text))
        })
        .collect()
}

/// The shell that executes the page, and the folder of its site.
struct Page {
    shell: Process,
    home: tempfile::TempDir,
}

impl Page {
    fn start(sections: &[(String, String)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ports: Vec<(u16, u16)> = PORTS.iter().map(|port| (*port, free_port())).collect();
        write_stubs(home.path(), &ports);
        let mut script = String::new();
        for (at, (_, text)) in sections.iter().enumerate() {
            script += &with_test_ports(text, &ports);
            script += &format!(
                "touch \"$HOME/done-{at}\"; while [ ! -e \"$HOME/go-{at}\" ]; do sleep 0.05; done\n"
            );
        }
        fs::write(home.path().join("page.sh"), script).unwrap();
        let mut command = Command::new("bash");
        command
            // The first failing command ends the script, and each command is printed.
            .args(["-e", "-x"])
            .arg(home.path().join("page.sh"))
            .current_dir(home.path())
            .env("HOME", home.path())
            .env(
                "PATH",
                format!(
                    "{}:{}",
                    home.path().join("bin").display(),
                    std::env::var("PATH").unwrap()
                ),
            );
        Self {
            shell: Process::spawn("docs/procedures.md", &mut command),
            home,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("site").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap().trim().to_owned()
    }

    fn open(&self, database: &str) -> Connection {
        let opened = Connection::open(self.file(database)).unwrap();
        opened.busy_timeout(DEADLINE).unwrap();
        opened
    }

    /// Waits until every command of a section was executed.
    async fn wait_section(&self, at: usize) {
        let marker = self.home.path().join(format!("done-{at}"));
        let what = format!("the commands of section {at}");
        until(&what, DEADLINE, async || {
            if marker.exists() {
                return Ok(());
            }
            let (output, trace) = (self.shell.stdout(), self.shell.stderr());
            assert!(
                !self.shell.has_exited(),
                "the page ended early:\n{output}\n{trace}"
            );
            Err(trace)
        })
        .await;
    }

    /// Lets the shell continue with the next section.
    fn continue_after(&self, at: usize) {
        fs::write(self.home.path().join(format!("go-{at}")), "").unwrap();
    }

    async fn command(&self, arguments: &[&str]) -> Finished {
        let mut command = slacktide();
        command.current_dir(self.file("")).args(arguments);
        run(&arguments.join(" "), &mut command, DEADLINE).await
    }

    /// Waits until an insurer has exactly the rows that it may have.
    async fn wait_rows(&self, insurer: &str) {
        let core = format!("SELECT {ROW} FROM claim WHERE person NOT IN {KEPT_BACK} ORDER BY id");
        let store = format!("SELECT {ROW} FROM claim ORDER BY id");
        until_with_progress(&format!("{insurer} to have the rows"), DEADLINE, async || {
            let core = texts(&self.open("bureau/core.db"), &core).map_err(|error| error.to_string())?;
            let path = format!("{insurer}/store.db");
            let store = texts(&self.open(&path), &store).map_err(|error| error.to_string())?;
            if core == store {
                return Ok(());
            }
            Err(format!("core has {} rows, store {}", core.len(), store.len()))
        })
        .await;
    }

    fn add(&self, persons: &[&str]) {
        let mut core = self.open("bureau/core.db");
        persons.iter().for_each(|person| insert(&mut core, person));
    }

    fn tokens(&self, insurer: &str, person: &str) -> Vec<String> {
        let ids = texts(
            &self.open("bureau/core.db"),
            &format!("SELECT CAST(id AS TEXT) FROM claim WHERE person = '{person}'"),
        );
        let sql = format!(
            "SELECT DISTINCT person FROM claim WHERE id IN ({})",
            ids.unwrap().join(", ")
        );
        texts(&self.open(&format!("{insurer}/store.db")), &sql).unwrap()
    }

    /// Writes the auditor's file with only these keys of publishers.
    fn auditor_trusting(&self, name: &str, key: &str) -> String {
        let text = self.read("auditor/auditor.toml");
        let lines = text.lines().map(|line| match line.strip_prefix("chunks = ") {
            Some(_) => format!("chunks = [\"{key}\"]"),
            None => line.to_owned(),
        });
        let config = format!("auditor/{name}.toml");
        fs::write(self.file(&config), lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        config
    }
}

/// Wraps the program: it creates sites with this test's ports, and ends with the shell that started it.
fn write_stubs(home: &Path, ports: &[(u16, u16)]) {
    let bin = home.join("bin");
    fs::create_dir(&bin).unwrap();
    let built = slacktide().get_program().to_owned();
    let built = Path::new(&built);
    let replace: Vec<String> = ports
        .iter()
        .map(|(port, own)| format!("-e s/127.0.0.1:{port}/127.0.0.1:{own}/"))
        .collect();
    let making = format!(
        "if [ \"$1 $2\" = \"keys site\" ]; then {} \"$@\" && sed -i {} \"$4\"/*/*.toml \"$4\"/exchange/server.env; exit; fi\n",
        built.display(),
        replace.join(" ")
    );
    let text = guarded_program(built).replacen("exec ", &format!("{making}exec "), 1);
    write_program(&bin, "slacktide", &text);
    write_program(&bin, "nats-server", &guarded_program(&nats_server_binary()));
}

fn with_test_ports(text: &str, ports: &[(u16, u16)]) -> String {
    ports.iter().fold(text.to_owned(), |text, (port, own)| {
        text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{own}"))
    })
}

fn texts(database: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut asked = database.prepare(sql)?;
    let found = asked.query_map([], |row| row.get(0))?;
    found.collect()
}

fn insert(core: &mut Connection, person: &str) {
    write(core, |core| {
        core.execute(
            "INSERT INTO claim SELECT (SELECT max(id) FROM claim) + 1, strftime('%Y-%m-%d %H:%M:%f', 'now'), ?1, 7.25, \
             hex(randomblob(8)), 0",
            [person],
        )
        .unwrap();
    });
}

/// Writes rows of twenty persons to the core, one after the other, withheld persons included.
fn business(page: &Page) -> Background {
    let mut core = page.open("bureau/core.db");
    let mut persons = (1..=20).cycle();
    Background::repeat(Duration::from_millis(200), move || {
        let person = persons.next().unwrap_or_default();
        insert(&mut core, &format!("person {person}"));
    })
}

/// The added machine is accepted because of its certificate: without it the same file is refused.
async fn assert_certificate_required(page: &Page) {
    let text = page.read("insurer-a-2/commercial.toml");
    let without: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("cert = ") && !line.starts_with("key = "))
        .collect();
    assert_eq!(without.len() + 2, text.lines().count(), "{text}");
    fs::write(page.file("insurer-a-2/without.toml"), without.join("\n") + "\n").unwrap();
    let refused = page
        .command(&["doctor", "--config", "insurer-a-2/without.toml"])
        .await;
    let text = refused.stdout + &refused.stderr;
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("it asks for a certificate of ours"), "{text}");
    let own = [
        page.read("insurer-a/client.pem"),
        page.read("insurer-a-2/client.pem"),
    ];
    assert_ne!(own[0], own[1]);
}

/// Asserts that the old key signs every chunk up to some number, and the new key every later one.
async fn assert_signed_by_new_key(page: &Page) {
    let keys = [page.read("bureau/sign.pub"), page.read("bureau/next/sign.pub")];
    let configs = [
        page.auditor_trusting("old", &keys[0]),
        page.auditor_trusting("new", &keys[1]),
    ];
    for insurer in ["insurer-a", "insurer-b"] {
        let verify = ["audit", "verify", "--json", "--recipient", insurer, "--config"];
        let old = page
            .command(&[&verify[..], &[configs[0].as_str()]].concat())
            .await;
        let found: Value = serde_json::from_str(&old.stdout).unwrap();
        assert_eq!(old.status.code(), Some(7), "{found:#}");
        assert!(found["chunks_verified"].as_u64() > Some(0), "{found:#}");
        let fault = &found["faults"][0];
        assert!(
            fault["what"].as_str().unwrap().contains("not a trusted key"),
            "{found:#}"
        );
        let first = fault["sequence"].to_string();
        let new = page
            .command(&[&verify[..], &[configs[1].as_str(), "--from", &first]].concat())
            .await;
        assert_eq!(new.status.code(), Some(0), "{}{}", new.stdout, new.stderr);
        let found: Value = serde_json::from_str(&new.stdout).unwrap();
        assert_eq!(found["chunks"], found["chunks_verified"], "{found:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn procedures_page_commands_work() {
    let text = fs::read_to_string(workspace().join("docs/procedures.md")).unwrap();
    let sections = sections(&text);
    let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "The site",
            "Add an insurer",
            "Issue one more certificate",
            "Change the bureau's signing key",
            "The end of the site"
        ]
    );
    let mut page = Page::start(&sections);
    page.wait_section(0).await;
    page.wait_rows("insurer-a").await;

    let work = business(&page);
    page.continue_after(0);
    page.wait_section(1).await;
    work.stop();
    page.wait_rows("insurer-a").await;
    page.wait_rows("insurer-b").await;
    let before = ["insurer-a", "insurer-b"].map(|insurer| page.tokens(insurer, "person 11"));
    assert!(before.iter().all(|tokens| tokens.len() == 1), "{before:?}");
    assert_ne!(before[0], before[1], "two insurers have one token");

    let work = business(&page);
    page.continue_after(1);
    page.wait_section(2).await;
    assert_certificate_required(&page).await;
    page.continue_after(2);
    page.wait_section(3).await;
    work.stop();
    // The last row has a number above those that must be withheld.
    page.add(&["person 7", "person 9", "person 11"]);
    page.wait_rows("insurer-a").await;
    page.wait_rows("insurer-b").await;
    let after = ["insurer-a", "insurer-b"].map(|insurer| page.tokens(insurer, "person 11"));
    assert_eq!(after, before, "a token changed with the signing key");
    assert_signed_by_new_key(&page).await;

    page.continue_after(3);
    page.wait_section(4).await;
    page.continue_after(4);
    let ended = page.shell.wait_exit(DEADLINE).await;
    assert!(
        ended.success(),
        "{ended}:\n{}\n{}",
        page.shell.stdout(),
        page.shell.stderr()
    );
}
