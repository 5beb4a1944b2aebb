//! A private nats-server: file storage, every write fsynced, its own port and store.
//!
//! A configuration file may be given, for instance the shipped one. Address, port and monitoring port are then set on the
//! command line, which overrides the file. The store cannot be overridden (the server reports a duplicate), so a file that
//! sets it must use an environment variable, which the harness fills in.

use crate::{ChildGuard, find, free_port, http_get, logs, signal, until};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// After a kill, recovery of a large store takes a while on a loaded machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);

const PLAIN: &str = "jetstream { sync_interval: always }\n";

/// A private nats-server. Dropping it kills the server and removes its store.
#[derive(Debug)]
pub struct NatsServer {
    config: PathBuf,
    env: Vec<(OsString, OsString)>,
    own_store: bool,
    port: u16,
    monitoring: Option<String>,
    child: Option<Child>,
    guard: ChildGuard,
    logs: PathBuf,
    dir: TempDir,
}

/// The servers of an exchange: a stand-alone one, or a cluster.
pub trait NatsServers {
    /// Starts with a configuration of several files, as [`NatsServer::with_files`].
    fn start_with(
        folder: &Path,
        files: Vec<(String, String)>,
        env: &[(String, String)],
    ) -> impl Future<Output = Self>;

    /// Returns the URL of all servers.
    fn client_url(&self) -> String;
}

impl NatsServers for NatsServer {
    async fn start_with(folder: &Path, files: Vec<(String, String)>, env: &[(String, String)]) -> Self {
        Self::with_files(folder, files, env).await
    }

    fn client_url(&self) -> String {
        self.url()
    }
}

/// A copy of a server's store, to restore the exchange from.
#[derive(Debug)]
pub struct StoreCopy(TempDir);

impl NatsServer {
    /// Starts a server with JetStream, `sync_interval: always`, no accounts and no credentials.
    pub async fn start() -> Self {
        Self::with_config_text(PLAIN, &[]).await
    }

    /// Starts a server with this configuration text. See [`with_config`](Self::with_config).
    pub async fn with_config_text(text: &str, env: &[(&str, &str)]) -> Self {
        let dir = temp_dir();
        let config = dir.path().join("server.conf");
        fs::write(&config, with_large_store(text)).expect("the configuration is written");
        Self::launch(dir, config, env).await
    }

    /// Starts a server with this configuration file, which may include other files of its directory and use `env` as `$NAME`.
    /// Ports and addresses in it are overridden. A `store_dir` in it must be a `$NAME`, which is set to a private directory.
    /// The file is changed: its streams may reserve more than the disk has.
    pub async fn with_config(config: &Path, env: &[(&str, &str)]) -> Self {
        let text = fs::read_to_string(config).unwrap_or_else(|error| panic!("{}: {error}", config.display()));
        fs::write(config, with_large_store(&text)).expect("the configuration is written");
        Self::launch(temp_dir(), config.to_owned(), env).await
    }

    /// Starts a server with a copy of the shipped configuration in `nats/`.
    pub async fn with_shipped_config(env: &[(&str, &str)]) -> Self {
        let dir = temp_dir();
        let (shipped, copied) = (find::workspace().join("nats"), dir.path().join("config"));
        fs::create_dir(&copied).expect("a directory for the configuration");
        for name in ["server.conf", "accounts"] {
            copy_tree(&shipped.join(name), &copied);
        }
        let config = copied.join("server.conf");
        let text = fs::read_to_string(&config).expect("the shipped configuration");
        fs::write(&config, with_large_store(&text)).expect("the configuration is written");
        Self::launch(dir, config, env).await
    }

    /// Starts a server with a configuration of several files, which are written below `folder`; `server.conf` includes the others.
    /// The store in `env` is replaced by a private directory.
    pub async fn with_files(
        folder: &Path,
        files: impl IntoIterator<Item = (String, String)>,
        env: &[(String, String)],
    ) -> Self {
        for (path, text) in files {
            let path = folder.join(path);
            let parent = path.parent().expect("a file is in a folder");
            fs::create_dir_all(parent).expect("the folder is created");
            fs::write(&path, text).expect("the configuration is written");
        }
        let env: Vec<(&str, &str)> = env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        Self::with_config(&folder.join("server.conf"), &env).await
    }

    async fn launch(dir: TempDir, config: PathBuf, env: &[(&str, &str)]) -> Self {
        let mut env: Vec<_> = env
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let text =
            fs::read_to_string(&config).unwrap_or_else(|error| panic!("{}: {error}", config.display()));
        let named = store_variable(&text);
        if let Some(name) = named {
            env.push((name.into(), dir.path().join("store").into()));
        }
        let guard = ChildGuard::new(Signal::SIGKILL, Some(dir.path()));
        let (own_store, port) = (named.is_none(), free_port());
        let mut server = Self {
            config,
            env,
            own_store,
            port,
            monitoring: None,
            child: None,
            guard,
            logs: logs::directory("nats-server"),
            dir,
        };
        for _ in 0..5 {
            match server.start_once().await {
                Ok(()) => return server,
                Err(log) if log.contains("address already in use") => server.port = free_port(),
                Err(log) => panic!("nats-server did not start:\n{log}"),
            }
        }
        panic!("nats-server: five ports in a row were taken:\n{}", server.log());
    }

    /// Starts the server once. Returns the log as the error if the process ends before it listens.
    async fn start_once(&mut self) -> Result<(), String> {
        let ports = self.dir.path().join("ports");
        // A killed server leaves its ports file behind.
        let _ = fs::remove_dir_all(&ports);
        fs::create_dir(&ports).expect("a directory for the file of ports");
        let mut command = Command::new(find::nats_server_binary());
        command
            .arg("--config")
            .arg(&self.config)
            .args(["--addr", "127.0.0.1", "--http_port", "-1"]);
        command
            .arg("--port")
            .arg(self.port.to_string())
            .arg("--ports_file_dir")
            .arg(&ports);
        command.arg("--log").arg(self.log_path());
        if self.own_store {
            command.arg("--store_dir").arg(self.store());
        }
        // Holds errors from before the log is open, such as a wrong configuration.
        let early_output = fs::File::create(self.logs.join("output")).expect("a file for its output");
        let child = command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(early_output.try_clone().expect("a second handle"))
            .stderr(early_output)
            .spawn()
            .expect("nats-server is executable");
        self.guard.watch(&child);
        let file = ports.join(format!("nats-server_{}.ports", child.id()));
        let child = self.child.insert(child);

        let what = format!("nats-server on port {} to write its file of ports", self.port);
        let ports_file = until(&what, READY_WITHIN, async || {
            // The file is written at once, but not atomically.
            if let Some(ports_file) = fs::read(&file)
                .ok()
                .and_then(|json| serde_json::from_slice(&json).ok())
            {
                return Some(Some(ports_file));
            }
            child
                .try_wait()
                .expect("the status of a child is readable")
                .map(|_| None)
        })
        .await;
        let Some(ports_file): Option<serde_json::Value> = ports_file else {
            self.forget();
            return Err(self.log());
        };
        self.monitoring = ports_file["monitoring"][0].as_str().map(str::to_owned);
        if let Some(base) = &self.monitoring {
            let health = format!("{base}/healthz");
            until(
                "nats-server to report healthy",
                READY_WITHIN,
                async || match http_get(&health).await {
                    Ok(answer) if answer.status == 200 => Ok(()),
                    Ok(answer) => Err(answer.body),
                    Err(error) => Err(error.to_string()),
                },
            )
            .await;
        }
        Ok(())
    }

    /// Returns `nats://127.0.0.1:PORT`, the same after every restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Returns the base URL of the monitoring pages (`/varz`, `/jsz`, `/healthz`); its port changes with every restart.
    #[must_use]
    pub fn monitoring(&self) -> &str {
        self.monitoring
            .as_deref()
            .expect("the server is running and monitored")
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running().id()
    }

    /// Returns the directory of the store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Returns everything logged since the first start.
    #[must_use]
    pub fn log(&self) -> String {
        let early_output = fs::read_to_string(self.logs.join("output")).unwrap_or_default();
        early_output + &fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Kills the server with SIGKILL, as a crash; returns when it has ended.
    pub fn kill9(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child is reaped");
            self.forget();
        }
    }

    /// Stops the server with SIGTERM and waits until it has ended.
    pub async fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        signal::send(child, Signal::SIGTERM);
        until("nats-server to stop", STOP_WITHIN, async || {
            child.try_wait().expect("the status of a child is readable")
        })
        .await;
        self.forget();
    }

    /// Restarts the server on the same port and store. A running server is killed first.
    pub async fn restart(&mut self) {
        self.kill9();
        if let Err(log) = self.start_once().await {
            panic!("nats-server did not start again on port {}:\n{log}", self.port);
        }
    }

    /// Suspends the server with SIGSTOP: connections stay open and nothing answers. Returns when it is stopped.
    pub fn suspend(&self) {
        signal::suspend(self.running());
    }

    /// Resumes the server with SIGCONT.
    pub fn resume(&self) {
        signal::send(self.running(), Signal::SIGCONT);
    }

    /// Reloads the configuration with SIGHUP; returns when it is in force.
    pub async fn reload(&self) {
        let (taken, refused) = (
            "Reloaded server configuration",
            "Failed to reload server configuration",
        );
        let before = self.log();
        signal::send(self.running(), Signal::SIGHUP);
        until(
            "nats-server to read its configuration again",
            STOP_WITHIN,
            async || {
                let log = self.log();
                assert_eq!(
                    log.matches(refused).count(),
                    before.matches(refused).count(),
                    "the configuration is refused:\n{log}"
                );
                log.matches(taken).count() > before.matches(taken).count()
            },
        )
        .await;
    }

    /// Returns the port, the same after every restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Copies the store. A running server is suspended during the copy, so the copy is what a crash at this moment would leave.
    #[must_use]
    pub fn copy_store(&self) -> StoreCopy {
        let copy = temp_dir();
        if self.child.is_some() {
            self.suspend();
        }
        copy_tree(&self.store(), &copy.path().join("store"));
        if self.child.is_some() {
            self.resume();
        }
        StoreCopy(copy)
    }

    /// Kills the server if it runs, replaces its store with the copy and restarts it on the same port.
    pub async fn restore_store(&mut self, copy: &StoreCopy) {
        self.kill9();
        fs::remove_dir_all(self.store()).expect("the store can be removed");
        copy_tree(&copy.0.path().join("store"), &self.store());
        self.restart().await;
    }

    fn running(&self) -> &Child {
        self.child.as_ref().expect("the server is running")
    }

    fn log_path(&self) -> PathBuf {
        self.logs.join("log")
    }

    fn forget(&mut self) {
        self.child = None;
        self.monitoring = None;
        self.guard.release();
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn temp_dir() -> TempDir {
    tempfile::Builder::new()
        .prefix("slacktide-nats-")
        .tempdir()
        .expect("a temporary directory")
}

/// Lets the streams reserve more bytes than the disk has. Without `max_file_store` the server offers three quarters of what is free,
/// and a site of three recipients reserves 13 GB of which a test fills a few megabytes.
fn with_large_store(config: &str) -> String {
    config.replacen("jetstream {", "jetstream {\n  max_file_store: 1TB\n", 1)
}

/// Returns the variable name in `store_dir: $NAME`.
fn store_variable(config: &str) -> Option<&str> {
    let lines = config
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let value = lines
        .filter_map(|line| line.split_once("store_dir"))
        .map(|(_, rest)| rest)
        .next()?;
    let value = value.trim_start_matches([' ', ':', '=']);
    let name = value.strip_prefix('$').and_then(|name| {
        name.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_')
            .next()
    });
    assert!(
        name.is_some(),
        "the configuration names a store of its own; write store_dir: $NAME, or none"
    );
    name
}

fn copy_tree(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .stdin(Stdio::null())
        .output()
        .expect("cp runs");
    assert!(
        copied.status.success(),
        "copying {}: {}",
        from.display(),
        String::from_utf8_lossy(&copied.stderr)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_variable_is_found_in_the_configuration() {
        assert_eq!(store_variable("port: 4222\n"), None);
        assert_eq!(
            store_variable("# store_dir: /x\njetstream { store_dir: $STORE, max: 1 }"),
            Some("STORE")
        );
        assert_eq!(store_variable("jetstream {\n  store_dir = $A_B\n}"), Some("A_B"));
    }

    #[test]
    fn large_store_comes_before_what_the_configuration_has_of_its_own() {
        let config = with_large_store("jetstream {\n  max_file_store: 1KB\n}\n");
        assert!(
            config.find("1TB") < config.find("1KB"),
            "the server takes the last one"
        );
    }

    #[test]
    #[should_panic(expected = "names a store of its own")]
    fn store_path_in_the_configuration_is_refused() {
        store_variable("jetstream { store_dir: /var/lib/nats }");
    }
}
