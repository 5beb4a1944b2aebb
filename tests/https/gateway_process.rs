//! A gateway as an operator runs it, over TLS, that is ended with SIGKILL and started again on its port.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use harness::{Process, free_port, run, slacktide, until};

use super::certificates::Certificates;
use super::scene::SOON;

/// A running gateway. The token of each party is in `PARTY.token`, the authority in `ca.pem`.
pub(crate) struct GatewayProcess {
    process: Process,
    folder: PathBuf,
    port: u16,
}

impl GatewayProcess {
    /// Starts a gateway in the folder of a site, in which the keys of these parties are.
    pub(crate) async fn start(folder: &Path, nats: &str, parties: &[&str]) -> Self {
        Certificates::write(folder);
        let (port, health) = (free_port(), free_port());
        let mut text = format!(
            "[gateway]\nlisten = \"127.0.0.1:{port}\"\ntokens = \"tokens.json\"\n\
             [gateway.tls]\ncert = \"gateway.pem\"\nkey = \"gateway.key\"\n\
             [gateway.limits]\nrequests_per_second = 1000000\nburst = 1000000\n\
             [exchange]\nurl = \"{nats}\"\n[health]\nlisten = \"127.0.0.1:{health}\"\n"
        );
        for party in parties {
            let role = if *party == "bureau" { "bureau" } else { "recipient" };
            write!(
                text,
                "[[party]]\nname = \"{party}\"\nrole = \"{role}\"\nseed = {{ file = \"keys/{party}/connect.seed\" }}\n"
            )
            .unwrap();
        }
        fs::write(folder.join("gateway.toml"), text).unwrap();
        for party in parties {
            let mut command = slacktide();
            command.current_dir(folder).args([
                "gateway",
                "token",
                "new",
                "--config",
                "gateway.toml",
                "--party",
                party,
            ]);
            let made = run("gateway token new", &mut command, SOON).await;
            assert!(made.status.success(), "{}", made.stderr);
            let path = folder.join(format!("{party}.token"));
            fs::write(&path, made.stdout.trim()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let gateway = Self {
            process: spawn(folder),
            folder: folder.to_owned(),
            port,
        };
        gateway.wait_until_listening().await;
        gateway
    }

    /// Returns its address.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Ends it without any notice.
    pub(crate) fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again.
    pub(crate) async fn restart(&mut self) {
        self.process = spawn(&self.folder);
        self.wait_until_listening().await;
    }

    async fn wait_until_listening(&self) {
        until("the gateway to listen", SOON, async || {
            assert!(!self.process.has_exited(), "{}", self.process.stderr());
            let connected = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
}

fn spawn(folder: &Path) -> Process {
    let mut command = slacktide();
    command
        .current_dir(folder)
        .args(["gateway", "run", "--config", "gateway.toml"]);
    Process::spawn("gateway", &mut command)
}
