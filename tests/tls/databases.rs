//! Core and store with TLS: rows flow, and `doctor` shows what protects each connection.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use harness::{Postgres, PostgresOptions, run, slacktide};

use crate::pipeline::site::{DEADLINE, Links, Site as Path};

/// Starts a server that accepts only the harness without TLS.
async fn server(certificates: &std::path::Path) -> Postgres {
    let read = |name: &str| fs::read_to_string(certificates.join("exchange").join(name)).unwrap();
    let settings = [
        ("ssl", "on"),
        ("ssl_cert_file", "server.pem"),
        ("ssl_key_file", "server.key"),
    ];
    Postgres::private(PostgresOptions {
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        files: ["server.pem", "server.key"]
            .map(|name| (name.to_owned(), read(name)))
            .to_vec(),
        access: vec!["hostssl all all 127.0.0.1/32 trust".to_owned()],
        ..PostgresOptions::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn path_between_databases_with_tls_delivers_every_row() {
    let certificates = tempfile::tempdir().unwrap();
    let mut make = slacktide();
    make.args(["keys", "site", "--out"]).arg(certificates.path());
    assert!(run("certificates", &mut make, DEADLINE).await.status.success());
    let (core, store) = tokio::join!(server(certificates.path()), server(certificates.path()));
    let (from, to) = (core.database("core").await, store.database("insurer").await);
    let grants = format!(
        "GRANT CREATE ON DATABASE \"{}\" TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role",
        to.name()
    );
    let writer = to.role("writer", &grants).await;
    let mut site = Path::between(from, to, 500, "mode = \"open\"", |text| text).await;
    fs::copy(
        certificates.path().join("exchange/ca.pem"),
        site.file("db-ca.pem"),
    )
    .unwrap();
    let full = "?sslmode=verify-full&sslrootcert=db-ca.pem";
    let table = |url: String| format!("kind = \"postgres\"\nurl = {{ value = \"{url}\" }}");
    site.links = Links {
        source: Some(site.core.url_as(&site.reader) + full),
        store: Some(table(site.store.url_as(&writer) + full)),
        ..Links::default()
    };
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    let inside = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
         WHERE a.application_name LIKE 'slacktide%' AND NOT s.ssl";
    for db in [&site.core, &site.store] {
        assert_eq!(db.number(inside).await, 0, "a session in clear");
    }
    for (config, about) in [
        ("social.toml", "source connection"),
        ("poller.toml", "store connection"),
    ] {
        let (is_ok, text) = site.command(&["doctor", "--config", config]).await;
        assert!(is_ok, "{text}");
        let line = text.lines().find(|line| line.contains(about)).unwrap_or_default();
        assert!(
            line.contains("TLSv1.3") && line.contains("host name verified; sslmode=verify-full"),
            "{text}"
        );
    }
    doctor_warns_of_weak_modes(&site).await;
    social.stop().await;
    poller.stop().await;
}

/// The same file with other URLs: each weak mode is named, and an invalid URL is not shown.
async fn doctor_warns_of_weak_modes(site: &Path) {
    let social = fs::read_to_string(site.file("social.toml")).unwrap();
    let value = social
        .lines()
        .find(|line| line.starts_with("url = { value"))
        .unwrap();
    let file = social.replace(value, "url = { file = \"core.url\" }");
    fs::write(site.file("other.toml"), file).unwrap();
    let url = site.core.url_as(&site.reader).replace("@", ":hush@");
    for (parameters, expected) in [
        ("?sslmode=prefer", "sslmode=prefer continues in clear"),
        ("?sslmode=require", "does not verify who the server is"),
        (
            "?sslmode=disable",
            "the database refused the account: the account may not connect",
        ),
        (
            "?sslmode=verify-full&sslrootcert=keys/bureau/sign.pub",
            "sslrootcert holds no certificate",
        ),
        (
            "?sslmode=hush",
            "file core.url: the URL's parameter sslmode takes",
        ),
        ("?hush=1", "file core.url: parameter 1 of the URL is not known"),
        ("\nhush", "file core.url: the URL has more than one line"),
    ] {
        let path = site.file("core.url");
        fs::write(&path, format!("{url}{parameters}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let (_, text) = site.command(&["doctor", "--config", "other.toml"]).await;
        assert!(text.contains(expected), "{parameters}: {text}");
        assert!(!text.contains("hush"), "{text}");
    }
}
