//! Each mode against each certificate that a server can have.

use harness::Proxy;

use crate::site::{Site, connect, outcome};

const NO_TLS: &str = "the database server does not offer TLS, and a connection in clear is refused";
const FOREIGN: &str = "the database server's certificate is not of a trusted authority";
const MISNAMED: &str = "the database server's certificate is for another host name";
const EXPIRED: &str = "the database server's certificate has expired";

/// Trap: "TLS required" that verifies nothing.
#[tokio::test(flavor = "multi_thread")]
async fn connection_in_each_mode_accepts_exactly_what_it_should() {
    let site = Site::start().await;
    let modes: [(&str, &str, [&str; 5]); 8] = [
        // parameters, host; good, foreign, misnamed, expired, no TLS
        ("sslmode=disable", "127.0.0.1", ["clear"; 5]),
        (
            "sslmode=prefer",
            "127.0.0.1",
            ["tls", "tls", "tls", "tls", "clear"],
        ),
        (
            "sslmode=require",
            "127.0.0.1",
            ["tls", "tls", "tls", "tls", NO_TLS],
        ),
        (
            "sslmode=require&sslrootcert=$ca.pem",
            "127.0.0.1",
            ["tls", FOREIGN, "tls", EXPIRED, NO_TLS],
        ),
        (
            "sslmode=verify-ca&sslrootcert=$ca.pem",
            "127.0.0.1",
            ["tls", FOREIGN, "tls", EXPIRED, NO_TLS],
        ),
        (
            "sslmode=verify-full&sslrootcert=$ca.pem",
            "localhost",
            ["tls", FOREIGN, MISNAMED, EXPIRED, NO_TLS],
        ),
        // Not a loopback address, though it leads here: nothing is written, so all is verified.
        (
            "sslrootcert=$ca.pem",
            "0.0.0.0",
            ["tls", FOREIGN, MISNAMED, EXPIRED, NO_TLS],
        ),
        // Loopback: nothing is written, and nothing leaves the host.
        ("connect_timeout=5", "127.0.0.1", ["clear"; 5]),
    ];
    let certificates = [
        Some("good"),
        Some("foreign"),
        Some("misnamed"),
        Some("expired"),
        None,
    ];
    for (place, certificate) in certificates.into_iter().enumerate() {
        site.presents(certificate).await;
        for (parameters, host, expected) in &modes {
            let found = outcome(&site.url("open", host, parameters)).await;
            assert_eq!(found, expected[place], "{parameters} {host} {certificate:?}");
        }
    }
    // The default is refused in clear until it is written.
    let refused = outcome(&site.url("open", "0.0.0.0", "")).await;
    assert_eq!(refused, NO_TLS);
    let written = outcome(&site.url("open", "0.0.0.0", "sslmode=disable")).await;
    assert_eq!(written, "clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_presents_a_client_certificate_where_required() {
    let site = Site::start().await;
    site.presents(Some("good")).await;
    let full = "sslmode=verify-full&sslrootcert=$ca.pem";
    let with = |more: &str| format!("{full}&{more}");
    let denied = "the account may not connect from here, or not in this way (SQLSTATE 28000)";
    for (role, parameters, expected) in [
        ("certified", with("sslcert=$client.pem&sslkey=$client.key"), "tls"),
        ("certified", full.to_owned(), denied),
        // In clear there is no line for it in pg_hba.conf, nor for a role that asks for TLS.
        ("certified", "sslmode=disable".to_owned(), denied),
        ("closed", "sslmode=disable".to_owned(), denied),
        ("closed", full.to_owned(), "tls"),
        (
            "certified",
            with("sslcert=$client.pem&sslkey=$stranger.key"),
            "the private key of sslkey does not fit the certificate of sslcert, or is of a kind that is not known",
        ),
        (
            "certified",
            with("sslcert=$empty.pem&sslkey=$client.key"),
            "the file of sslcert holds no certificate that can be read",
        ),
        (
            "certified",
            with("sslcert=$client.pem&sslkey=$empty.pem"),
            "the file of sslkey holds no private key that can be read",
        ),
        (
            "closed",
            "sslmode=verify-full&sslrootcert=$empty.pem".to_owned(),
            "the file of sslrootcert holds no certificate that can be read",
        ),
        (
            "closed",
            "sslmode=verify-full&sslrootcert=/nowhere/ca.pem".to_owned(),
            "the file of sslrootcert cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        let found = outcome(&site.url(role, "localhost", &parameters)).await;
        assert_eq!(found, expected, "{role} {parameters}");
    }
    let strange = with("sslcert=$stranger.pem&sslkey=$stranger.key");
    let found = outcome(&site.url("certified", "localhost", &strange)).await;
    assert!(
        found.starts_with("the database server refused our side of TLS"),
        "{found}"
    );
    // What everybody on the host reads is no secret.
    let key = std::fs::read_to_string(site.path("client.key")).unwrap();
    site.keep("stranger.key", &key, 0o644);
    let open = with("sslcert=$client.pem&sslkey=$stranger.key");
    let found = outcome(&site.url("certified", "localhost", &open)).await;
    assert_eq!(found, "everyone on this host can use the file of sslkey");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_binds_the_password_to_the_certificate() {
    let site = Site::start().await;
    site.presents(Some("good")).await;
    let bound = "sslmode=verify-full&sslrootcert=$ca.pem&channel_binding=require";
    let with_password = |text: String| text.replace("proven@", "proven:hush@");
    let url = with_password(site.url("proven", "localhost", bound));
    assert_eq!(outcome(&url).await, "tls");
    let unbound = bound.replace("=require", "=disable");
    let url = with_password(site.url("proven", "localhost", &unbound));
    assert_eq!(outcome(&url).await, "tls");
    let wrong = with_password(site.url("proven", "localhost", bound)).replace("hush", "other");
    assert_eq!(outcome(&wrong).await, "wrong user or password (SQLSTATE 28P01)");
}

/// Trap: a cancel request in clear shows the key that ends the session's statements.
#[tokio::test(flavor = "multi_thread")]
async fn cancel_request_goes_inside_tls_and_ends_the_statement() {
    let site = Site::start().await;
    site.presents(Some("good")).await;
    let proxy = Proxy::start(site.server.port()).await;
    let url = site.url("closed", "localhost", "sslmode=verify-full&sslrootcert=$ca.pem");
    let url = url.replace(
        &format!(":{}/", site.server.port()),
        &format!(":{}/", proxy.port()),
    );
    let reached = connect(&url).await.unwrap();
    assert!(reached.security.tls.is_some() && !reached.security.by_default);
    tokio::spawn(reached.driver.run());
    let (client, cancel) = (reached.client, reached.cancel);
    let slow = tokio::spawn(async move { client.batch_execute("SELECT pg_sleep(600)").await });
    let admin = site.server.admin();
    harness::until("the statement to run", crate::site::SOON, async || {
        let running =
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(600)'";
        match admin.number(running).await {
            1 => Ok(()),
            other => Err(format!("{other} run it")),
        }
    })
    .await;
    cancel.send().await.unwrap();
    let error = slow.await.unwrap().unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("57014"));
    // Both connections began by asking for TLS: a request to cancel begins with another number.
    let ask_for_tls = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let openings = proxy.first_bytes();
    assert_eq!(openings.len(), 2);
    for opening in openings {
        assert_eq!(opening, ask_for_tls);
    }
}
