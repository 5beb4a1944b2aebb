//! Tests of the harness's guarantees on real servers; every other test relies on them.

use crate::{Db, NatsServer, Postgres, PostgresOptions, http_get, logs, until};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(30);

/// Sends one request in the text protocol of NATS, so that these tests depend on no client library.
async fn request(server: &NatsServer, subject: &str, body: &str) -> std::io::Result<serde_json::Value> {
    let address = server.url().replace("nats://", "");
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let frame = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB inbox 1\r\nPUB {subject} inbox {}\r\n{body}\r\n",
        body.len()
    );
    stream.write_all(frame.as_bytes()).await?;
    let mut line = String::new();
    while !line.starts_with("MSG inbox") {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    line.clear();
    stream.read_line(&mut line).await?;
    Ok(serde_json::from_str(&line)?)
}

async fn messages(server: &NatsServer) -> u64 {
    let info = request(server, "$JS.API.STREAM.INFO.S", "").await.unwrap();
    info["state"]["messages"]
        .as_u64()
        .unwrap_or_else(|| panic!("no stream: {info}"))
}

async fn store_one(server: &NatsServer) {
    let ack = request(server, "s.one", "body").await.unwrap();
    assert_eq!(ack["stream"], "S", "{ack}");
}

async fn with_a_stream() -> NatsServer {
    let server = NatsServer::start().await;
    let made = request(
        &server,
        "$JS.API.STREAM.CREATE.S",
        r#"{"name":"S","subjects":["s.>"]}"#,
    )
    .await
    .unwrap();
    assert!(made["error"].is_null(), "{made}");
    store_one(&server).await;
    server
}

#[tokio::test]
async fn nats_keeps_port_and_stream_over_kill_and_restart() {
    let mut server = with_a_stream().await;
    let (url, pid) = (server.url(), server.pid());
    server.kill9();
    server.restart().await;
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), pid);
    assert_eq!(messages(&server).await, 1);
    server.stop().await;
    server.restart().await;
    assert_eq!(messages(&server).await, 1);
}

/// Without `sync_interval: always`, JetStream acknowledges before it fsyncs.
#[tokio::test]
async fn nats_syncs_every_write() {
    let server = NatsServer::start().await;
    let varz = http_get(&format!("{}/varz", server.monitoring()))
        .await
        .unwrap()
        .json();
    assert_eq!(
        varz["jetstream"]["config"]["sync_always"], true,
        "{}",
        varz["jetstream"]
    );
}

#[tokio::test]
async fn nats_is_restored_from_an_older_copy() {
    let mut server = with_a_stream().await;
    let copy = server.copy_store();
    store_one(&server).await;
    assert_eq!(messages(&server).await, 2);
    server.restore_store(&copy).await;
    assert_eq!(messages(&server).await, 1);
}

#[tokio::test]
async fn nats_takes_a_given_configuration() {
    let text = "listen: 0.0.0.0:4222\njetstream { store_dir: $STORE }\nserver_name: $NAME\n";
    let server = NatsServer::with_config_text(text, &[("NAME", "given")]).await;
    let varz = http_get(&format!("{}/varz", server.monitoring()))
        .await
        .unwrap()
        .json();
    assert_eq!(varz["server_name"], "given");
    assert_eq!(varz["host"], "127.0.0.1");
    assert!(server.store().join("jetstream").exists());
}

#[tokio::test]
async fn nats_invalid_configuration_is_reported_with_the_reason() {
    let message = logs::expected_panic(NatsServer::with_config_text("port: [", &[])).await;
    assert!(message.contains("nats-server did not start"), "{message}");
}

#[tokio::test]
async fn nats_suspended_answers_when_resumed() {
    let server = with_a_stream().await;
    server.suspend();
    let waited = tokio::time::timeout(Duration::from_millis(200), messages(&server)).await;
    assert!(waited.is_err(), "a suspended server answered");
    server.resume();
    assert_eq!(messages(&server).await, 1);
}

#[tokio::test]
async fn postgres_each_test_has_its_own_database() {
    let shared = Postgres::shared().await;
    let (one, other) = (shared.database("same").await, shared.database("same").await);
    assert_ne!(one.name(), other.name());
    one.execute("CREATE TABLE t (n bigint); INSERT INTO t VALUES (41), (1)")
        .await;
    assert_eq!(one.number("SELECT sum(n)::bigint FROM t").await, 42);
    assert_eq!(
        other
            .number("SELECT count(*) FROM pg_tables WHERE tablename = 't'")
            .await,
        0
    );
}

#[tokio::test]
async fn postgres_role_has_only_what_it_is_granted() {
    let db = Postgres::shared().await.database("roles").await;
    db.execute("CREATE TABLE seen (n bigint); CREATE TABLE hidden (n bigint)")
        .await;
    let reader = db.role("reader", "GRANT SELECT ON seen TO $role").await;
    let session = db.connect_as(&reader).await;
    session.batch_execute("SELECT * FROM seen").await.unwrap();
    let denied = session.batch_execute("SELECT * FROM hidden").await.unwrap_err();
    assert_eq!(
        denied.code().map(tokio_postgres::error::SqlState::code),
        Some("42501")
    );
}

/// The tests of the fence need prepared transactions, which are off by default.
#[tokio::test]
async fn postgres_transactions_can_be_prepared() {
    let db = Postgres::shared().await.database("prepared").await;
    let prepare = format!("BEGIN; CREATE TABLE t (); PREPARE TRANSACTION '{}'", db.name());
    db.execute(&prepare).await;
    db.execute(&format!("ROLLBACK PREPARED '{}'", db.name())).await;
}

#[tokio::test]
async fn postgres_private_cluster_survives_a_crash() {
    let options = PostgresOptions {
        fsync: true,
        settings: vec![("work_mem".into(), "7MB".into())],
        roles: "CREATE ROLE auditor".into(),
        ..PostgresOptions::default()
    };
    let mut server = Postgres::private(options).await;
    let admin: Db = server.admin();
    admin.execute("CREATE TABLE kept AS SELECT 1::bigint AS n").await;
    server.crash().await;
    server.restart().await;
    assert_eq!(admin.number("SELECT n FROM kept").await, 1);
    assert_eq!(
        admin
            .number("SELECT count(*) FROM pg_roles WHERE rolname = 'auditor'")
            .await,
        1
    );
    let set: String = admin
        .query(
            "SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings \
        WHERE name IN ('fsync', 'work_mem')",
        )
        .await[0]
        .get(0);
    assert_eq!(set, "on 7168");
    server.stop().await;
}

/// The clusters are copies of one template, and the product compares system identifiers.
#[tokio::test]
async fn postgres_private_clusters_have_distinct_identities() {
    let identity = async |server: &Postgres| {
        let sql = "SELECT system_identifier FROM pg_control_system()";
        server.admin().number(sql).await
    };
    let mut one = Postgres::private(PostgresOptions::default()).await;
    let other = Postgres::private(PostgresOptions::default()).await;
    let first = identity(&one).await;
    assert_ne!(first, identity(&other).await);
    assert_ne!(first, identity(Postgres::shared().await).await);
    one.restart().await;
    assert_eq!(first, identity(&one).await);
}

/// When the test process dies, the guard ends its servers.
#[tokio::test]
async fn servers_of_a_killed_test_process_end() {
    const MARK: &str = "SLACKTIDE_TEST_LINGER";
    if let Some(ports_file) = std::env::var_os(MARK) {
        let nats = NatsServer::start().await;
        let postgres = Postgres::shared().await;
        let line = format!("{} {}\n", nats.url().rsplit(':').next().unwrap(), postgres.port());
        std::fs::write(ports_file, line).unwrap();
        std::future::pending::<()>().await;
    }
    let dir = tempfile::tempdir().unwrap();
    let ports_file = dir.path().join("ports");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "servers::servers_of_a_killed_test_process_end"]);
    // The logs of the killed process are not those of a failed test.
    command
        .env(MARK, &ports_file)
        .env("SLACKTIDE_TEST_LOGS", dir.path());
    let mut lingering = crate::Process::spawn("the lingering test", &mut command);
    let ports: Vec<u16> = lingering
        .until("its ports", Duration::from_secs(120), async || {
            let line = std::fs::read_to_string(&ports_file)
                .ok()
                .filter(|line| line.ends_with('\n'))?;
            Some(
                line.split_whitespace()
                    .map(|port| port.parse().unwrap())
                    .collect(),
            )
        })
        .await;
    let open = async |port: u16| TcpStream::connect(("127.0.0.1", port)).await.is_ok();
    for port in &ports {
        assert!(open(*port).await);
    }
    lingering.kill9();
    for port in ports {
        until("its servers to end", SOON, async || !open(port).await).await;
    }
}
