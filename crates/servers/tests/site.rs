//! A server whose certificate can be exchanged, and the files of a client.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use harness::{Postgres, PostgresOptions, until};
use servers::{Reached, Servers, Unreached};

use crate::certificates::{Authority, Pair};

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Roles: `open` may connect in any way, `closed` only inside TLS, `certified` only with a certificate, `proven` by
/// a password whose proof can be bound to the channel.
pub(crate) struct Site {
    pub(crate) server: Postgres,
    files: tempfile::TempDir,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let (ours, other) = (Authority::new("ours"), Authority::new("other"));
        let here = ["localhost", "127.0.0.1", "0.0.0.0"];
        let pairs = [
            ("good", ours.server(&here, false)),
            ("foreign", other.server(&here, false)),
            ("misnamed", ours.server(&["other.example.org"], false)),
            ("expired", ours.server(&here, true)),
        ];
        let mut files = vec![("ca.pem".to_owned(), ours.0.certificate.clone())];
        for (name, pair) in &pairs {
            files.push((format!("{name}.pem"), pair.certificate.clone()));
            files.push((format!("{name}.key"), pair.key.clone()));
        }
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let server = Postgres::private(PostgresOptions {
            settings: vec![set("ssl_ca_file", "ca.pem"), set("log_connections", "on")],
            roles: "CREATE ROLE open LOGIN; CREATE ROLE closed LOGIN; CREATE ROLE certified LOGIN; \
                    CREATE ROLE proven LOGIN PASSWORD 'hush'"
                .to_owned(),
            files,
            access: [
                "host all open 127.0.0.1/32 trust",
                "hostssl all closed 127.0.0.1/32 trust",
                "hostssl all certified 127.0.0.1/32 cert",
                "hostssl all proven 127.0.0.1/32 scram-sha-256",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..PostgresOptions::default()
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let site = Self {
            server,
            files: folder,
        };
        site.keep("ca.pem", &ours.0.certificate, 0o644);
        site.keep("empty.pem", "", 0o600);
        for (name, pair) in [
            ("client", ours.client("certified")),
            ("stranger", other.client("certified")),
        ] {
            site.keep_pair(name, &pair);
        }
        site
    }

    fn keep_pair(&self, name: &str, pair: &Pair) {
        self.keep(&format!("{name}.pem"), &pair.certificate, 0o644);
        self.keep(&format!("{name}.key"), &pair.key, 0o600);
    }

    pub(crate) fn keep(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// The server has this certificate from now on, or no TLS.
    pub(crate) async fn presents(&self, certificate: Option<&str>) {
        let admin = self.server.admin();
        let mut settings = vec![("ssl", if certificate.is_some() { "on" } else { "off" }.to_owned())];
        if let Some(name) = certificate {
            settings.push(("ssl_cert_file", format!("{name}.pem")));
            settings.push(("ssl_key_file", format!("{name}.key")));
        }
        for (name, value) in &settings {
            admin
                .execute(&format!("ALTER SYSTEM SET {name} = '{value}'"))
                .await;
        }
        admin.execute("SELECT pg_reload_conf()").await;
        // A session that begins after the server has read its files has what they contain.
        until("the server to read its files again", SOON, async || {
            for (name, value) in &settings {
                let rows = admin.query(&format!("SHOW {name}")).await;
                if rows[0].get::<_, String>(0) != *value {
                    return Err(format!("{name} is another"));
                }
            }
            Ok(())
        })
        .await;
    }

    /// `$ca` and the like in the parameters stand for this site's files.
    pub(crate) fn url(&self, role: &str, host: &str, parameters: &str) -> String {
        let mut parameters = parameters.to_owned();
        for name in ["ca", "client", "stranger", "empty"] {
            for kind in ["pem", "key"] {
                let path = self.path(&format!("{name}.{kind}"));
                parameters = parameters.replace(&format!("${name}.{kind}"), path.to_str().unwrap());
            }
        }
        format!(
            "postgres://{role}@{host}:{}/postgres?{parameters}",
            self.server.port()
        )
    }
}

/// Connects as the agents do.
pub(crate) async fn connect(url: &str) -> Result<Reached, Unreached> {
    Servers::of(url, "slacktide test", SOON).unwrap().connect().await
}

/// How a try to connect ended, in a word that a table can hold.
pub(crate) async fn outcome(url: &str) -> String {
    match connect(url).await {
        Ok(reached) if reached.security.tls.is_some() => "tls".to_owned(),
        Ok(_) => "clear".to_owned(),
        Err(Unreached::Tls(error)) => error.to_string(),
        Err(Unreached::Refused(error)) => servers::cause(&error),
        Err(Unreached::Silent) => "silent".to_owned(),
    }
}
