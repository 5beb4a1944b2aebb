//! compose.yml and the Dockerfile, tested without Docker: every file, variable, command and account that they name exists and
//! fits, with the real programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use harness::{Db, Postgres, Process, free_port, nats_server_binary, run, slacktide, until, workspace};
use serde_yaml_ng::Value;
use tempfile::TempDir;

use super::yaml::{self, Env, env, list, names, text};
use crate::pipeline::site::DEADLINE;

/// Runs `scripts/compose-secrets.sh` into a private folder.
async fn create_secrets() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut script = Command::new(workspace().join("scripts/compose-secrets.sh"));
        script
            .arg(folder.path())
            .env("SLACKTIDE", slacktide().get_program());
        let done = run("compose-secrets.sh", &mut script, DEADLINE).await;
        assert!(done.status.success(), "{}", done.stderr);
    }
    folder
}

#[tokio::test]
async fn compose_files_and_accounts_exist() {
    let folder = create_secrets().await;
    let compose = yaml::read(folder.path());
    let services = &compose["services"];
    let mut found = names(services);
    found.sort_unstable();
    assert_eq!(
        found,
        ["apply", "commercial", "core", "front", "insurer", "social"]
    );
    for name in &found {
        let service = &services[name.as_str()];
        assert!(
            !text(&service["user"]).starts_with("0"),
            "{name} runs as root or as any user"
        );
        assert_eq!(list(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(
            list(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        assert_eq!(
            service["read_only"].as_bool(),
            Some(true),
            "{name} may write its files"
        );
        assert!(
            service["healthcheck"].is_mapping() || name == "apply",
            "{name} has no health check"
        );
        assert!(
            service["container_name"].is_null() && service["ports"].is_null(),
            "{name} could not be scaled"
        );
        for other in names(&service["depends_on"]) {
            assert!(found.contains(&other), "{name} waits for {other}");
        }
        for mount in list(&service["volumes"]) {
            let from = mount.split(':').next().unwrap();
            let there = match from.strip_prefix("./") {
                Some(path) => yaml::mounted(path, folder.path()).exists() && mount.ends_with(":ro"),
                None => names(&compose["volumes"]).contains(&from.to_owned()),
            };
            assert!(there, "{name} mounts {mount}");
        }
        for secret in list(&service["secrets"]) {
            let file = folder
                .path()
                .join(text(&compose["secrets"][secret.as_str()]["file"]));
            let mode = fs::metadata(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert_eq!(
                mode.permissions().mode() & 0o077,
                0,
                "{} is open to others",
                file.display()
            );
        }
    }
    // Variables that the server's configuration reads from its environment.
    let given = server_variables(&folder);
    for file in [
        "server.conf",
        "accounts/all.conf",
        "accounts/hub.conf",
        "accounts/bureau.conf",
        "accounts/auditor.conf",
        "accounts/insurer-a.conf",
    ] {
        let text = fs::read_to_string(workspace().join("nats").join(file)).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            for word in line.split_inclusive('$').skip(1) {
                let name: String = word
                    .chars()
                    .take_while(|sign| sign.is_ascii_alphanumeric() || *sign == '_')
                    .collect();
                assert!(
                    !name.starts_with("SLACKTIDE_") || given.contains_key(&name),
                    "{file} needs {name}, which compose-secrets.sh does not give"
                );
            }
        }
    }
}

/// Returns the variables of the front's nats-server.
fn server_variables(folder: &TempDir) -> Env {
    let text = fs::read_to_string(folder.path().join("secrets/front/server.env")).unwrap();
    text.lines()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
        .collect()
}

#[tokio::test]
async fn compose_commands_are_valid() {
    let folder = create_secrets().await;
    let compose = yaml::read(folder.path());
    for service in ["front", "apply", "social", "commercial"] {
        let service = &compose["services"][service];
        let health = list(&service["healthcheck"]["test"]);
        let mut commands = vec![list(&service["command"])];
        if let [kind, program, rest @ ..] = health.as_slice() {
            assert_eq!((kind.as_str(), program.as_str()), ("CMD", binary().as_str()));
            commands.push(rest.to_vec());
        }
        for mut words in commands {
            let config = words.last_mut().unwrap();
            let file = config
                .strip_prefix("/etc/slacktide/")
                .unwrap_or_else(|| panic!("{config} is not mounted"));
            assert!(workspace().join("config").join(file).exists(), "{config}");
            // The command line is parsed completely first; an unknown argument is an error all the same.
            let output = run("help", slacktide().args(&words).arg("--help"), DEADLINE).await;
            assert!(output.status.success(), "{words:?}: {}", output.stderr);
        }
    }
}

fn binary() -> String {
    dockerfile()
        .lines()
        .find_map(|line| line.strip_prefix("ENTRYPOINT [\""))
        .and_then(|rest| rest.split('"').next())
        .map(str::to_owned)
        .unwrap()
}

fn dockerfile() -> String {
    fs::read_to_string(workspace().join("Dockerfile")).unwrap()
}

#[tokio::test]
async fn compose_images_are_pinned_small_and_unprivileged() {
    let (folder, text) = (create_secrets().await, dockerfile());
    let compose = yaml::read(folder.path());
    let mut stages: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["FROM", image, "AS", stage] => {
                // Of a registry that the caller may name, or an earlier stage.
                match image.strip_prefix("${REGISTRY}") {
                    Some(image) => assert_pinned(image),
                    None => assert!(stages.iter().any(|(earlier, _)| earlier == image), "{line}"),
                }
                stages.push(((*stage).to_owned(), String::new()));
            }
            ["USER", user] => stages.last_mut().unwrap().1 = (*user).to_owned(),
            ["COPY", from, path, _] if from.starts_with("--from=") => {
                let from = from.trim_start_matches("--from=");
                assert!(stages.iter().any(|(stage, _)| stage == from), "{line}");
                assert!(path.starts_with('/'), "{line}");
            }
            _ => {}
        }
    }
    let program = binary();
    assert!(
        text.contains(&format!("--from=build {program} {program}")),
        "{program} is not copied"
    );
    for service in ["front", "apply", "social", "commercial"] {
        let target = yaml::text(&compose["services"][service]["build"]["target"]);
        let (_, user) = stages.iter().find(|(stage, _)| *stage == target).unwrap();
        assert!(
            !user.is_empty() && !user.starts_with('0'),
            "{target} runs as {user:?}"
        );
    }
    for service in ["core", "insurer"] {
        assert_pinned(&yaml::text(&compose["services"][service]["image"]));
    }
    // Files that must not go into a build.
    let ignored = fs::read_to_string(workspace().join(".dockerignore")).unwrap();
    for path in ["secrets", ".env", "target", ".git"] {
        assert!(
            ignored.lines().any(|line| line == path),
            "{path} would be sent to the build"
        );
    }
}

fn assert_pinned(image: &str) {
    let tag = image.split_once(':').map(|(_, tag)| tag).unwrap_or_default();
    assert!(
        tag.contains('.') && tag.starts_with(|sign: char| sign.is_ascii_digit()),
        "{image} is not pinned"
    );
}

/// Starts the services as in compose.yml, without Docker: same files, variables and commands.
#[tokio::test(flavor = "multi_thread")]
async fn compose_services_work_together() {
    let folder = create_secrets().await;
    let compose = yaml::read(folder.path());
    let mut ports = [(); 6].map(|()| free_port()).into_iter();
    let mut port = || ports.next().unwrap();
    let (nats, gateway, streams) = (port(), port(), tempfile::tempdir().unwrap());
    let variables = folder.path().join("secrets/front/server.env");
    let text = fs::read_to_string(&variables).unwrap();
    let text = text
        .replace("127.0.0.1:4222", &format!("127.0.0.1:{nats}"))
        .replace("127.0.0.1:8222", &format!("127.0.0.1:{}", port()))
        .replace("'/data'", &format!("'{}'", streams.path().display()));
    fs::write(&variables, text).unwrap();
    let cluster = Postgres::private(harness::PostgresOptions::default()).await;
    let (core, insurer) = (cluster.database("core").await, cluster.database("insurer").await);
    run_initial_sql(
        &core,
        "core.sql",
        &folder.path().join("secrets/core-reader.password"),
    )
    .await;
    run_initial_sql(
        &insurer,
        "insurer.sql",
        &folder.path().join("secrets/insurer-writer.password"),
    )
    .await;
    for (file, db, role) in [
        ("core.url", &core, "slacktide_reader"),
        ("store.url", &insurer, "slacktide_writer"),
    ] {
        let path = folder.path().join("secrets").join(file);
        assert!(
            fs::read_to_string(&path)
                .unwrap()
                .starts_with(&format!("postgres://{role}:"))
        );
        fs::write(path, db.url_as(role)).unwrap();
    }
    let start = |service: &str, health: u16| {
        let mut words = list(&compose["services"][service]["command"]);
        let config = words.pop().unwrap();
        let file = config.trim_start_matches("/etc/slacktide/");
        let mut command = slacktide();
        command.args(words).arg(workspace().join("config").join(file));
        let env: Env = env(&compose, service, folder.path());
        command.envs(env);
        match service {
            "front" => command
                .env("SLACKTIDE_SERVER__PROGRAM", nats_server_binary())
                .env("SLACKTIDE_GATEWAY__LISTEN", format!("127.0.0.1:{gateway}"))
                .env("SLACKTIDE_EXCHANGE__URL", format!("nats://127.0.0.1:{nats}")),
            "apply" => command.env("SLACKTIDE_EXCHANGE__URL", format!("nats://127.0.0.1:{nats}")),
            _ => command.env("SLACKTIDE_EXCHANGE__URL", format!("https://127.0.0.1:{gateway}")),
        };
        if service != "apply" {
            command.env("SLACKTIDE_HEALTH__LISTEN", format!("127.0.0.1:{health}"));
        }
        // Whether this machine is idle is not under test.
        if service == "social" {
            command.env("SLACKTIDE_GATE__MODE", "open");
        }
        command
    };
    let health = |service: &str, port: u16| {
        let mut words = list(&compose["services"][service]["healthcheck"]["test"]).split_off(2);
        let file = words.pop().unwrap().replace("/etc/slacktide/", "");
        let mut command = slacktide();
        command.args(words).arg(workspace().join("config").join(file));
        command.envs(
            start(service, port)
                .get_envs()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))),
        );
        command
    };
    let front_health = port();
    let mut front = Process::spawn("front", &mut start("front", front_health));
    let applied = run("apply", &mut start("apply", 0), DEADLINE).await;
    assert!(applied.status.success(), "{}{}", applied.stdout, applied.stderr);
    // As `depends_on` orders: the agents start once the front is healthy.
    until("the front to be healthy", DEADLINE, async || {
        let done = run("health", &mut health("front", front_health), DEADLINE).await;
        if done.status.success() {
            Ok(())
        } else {
            Err(format!("{}{}", done.stderr, front.stderr()))
        }
    })
    .await;
    let ports = [port(), port(), free_port()];
    let mut running = Vec::new();
    for (service, port) in ["social", "commercial", "commercial"].into_iter().zip(ports) {
        running.push(Process::spawn(service, &mut start(service, port)));
    }
    until(
        "all settlements in the insurer's database",
        DEADLINE,
        async || {
            let counted = insurer
                .connect()
                .await
                .query_one("SELECT count(*) FROM setl", &[])
                .await;
            let stored: i64 = counted.map_err(|error| error.to_string())?.get(0);
            if stored == 20_000 {
                Ok(())
            } else {
                Err(format!("{stored} stored; {}", running[0].stderr()))
            }
        },
    )
    .await;
    // The health check of the service, against the running agent.
    let mut check = health("social", ports[0]);
    let output = run("health", &mut check, DEADLINE).await;
    assert!(output.status.success(), "{}", output.stderr);
    for mut process in running {
        process.sigterm();
        let status = process.wait_exit(DEADLINE).await;
        assert!(status.success(), "{}", process.stderr());
    }
    front.sigterm();
    let status = front.wait_exit(DEADLINE).await;
    assert!(status.success(), "{}", front.stderr());
    // Without the agent the check fails.
    let output = run("health", &mut check, DEADLINE).await;
    assert!(
        !output.status.success() && output.stderr.contains("no agent answers"),
        "{}",
        output.stderr
    );
}

/// Runs a file of config/compose as `psql` would; the password comes from its secret.
async fn run_initial_sql(db: &Db, file: &str, password: &Path) {
    let text = fs::read_to_string(workspace().join("config/compose").join(file)).unwrap();
    let name = password.file_stem().unwrap().to_string_lossy().replace('-', "_");
    let line = format!("\\set password `cat /run/secrets/{name}_password`\n");
    assert!(text.contains(&line), "{file} does not read {line}");
    let secret = fs::read_to_string(password).unwrap();
    let sql = text
        .replace(&line, "")
        .replace(":'password'", &format!("'{}'", secret.trim()));
    db.execute(&sql.replace("ON DATABASE insurer", &format!("ON DATABASE {}", db.name())))
        .await;
}

/// Asserts that the file has no argument or variable with a secret in it.
#[tokio::test]
async fn compose_has_no_secret_in_command_or_variable() {
    let folder = create_secrets().await;
    let compose: Value = yaml::read(folder.path());
    let shown = serde_yaml_ng::to_string(&compose["services"]).unwrap();
    for secret in names(&compose["secrets"]) {
        let file = folder
            .path()
            .join(text(&compose["secrets"][secret.as_str()]["file"]));
        let value = fs::read_to_string(file).unwrap();
        assert!(!shown.contains(value.trim()), "{secret} is in compose.yml");
    }
}
