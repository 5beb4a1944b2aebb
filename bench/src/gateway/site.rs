//! The servers: an exchange with a feed for each reader, and the gateway as its operator runs it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use exchange::{FeedExchange, Published};
use harness::{Process, free_port, until};
use jiff::Timestamp;
use nats::{JetStream, Options};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use schemas::chunk::SignedChunk;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::digest::Digest;
use schemas::heads::Heads;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Content, Manifest, Totals};
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::rows;
use schemas::value::Value;

use crate::Outcome;
use crate::exchange::Exchange;

/// The recipients that poll.
pub(crate) const READERS: [&str; 3] = ["insurer-a", "insurer-b", "insurer-c"];

/// The recipient of the writers' lanes, which are of other feeds than the polled one.
const WRITTEN: &str = "insurer-a";

/// The feed that is polled.
const FEED: &str = "claims";

/// Chunks of the feed, and rows in each.
const CHUNKS: u64 = 20;
const ROWS: i64 = 200;

/// How long the gateway may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What a reader polls with.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    /// Its token.
    pub(crate) token: String,
    /// The cursor before the last chunk: a poll returns one chunk.
    pub(crate) before_last: String,
    /// The cursor after the last chunk: a poll returns nothing.
    pub(crate) last: String,
}

/// The running servers; they end with this value.
pub(crate) struct Site {
    pub(crate) exchange: Exchange,
    pub(crate) gateway: Process,
    pub(crate) port: u16,
    pub(crate) readers: Vec<Reader>,
    /// The bureau's token.
    pub(crate) writer: String,
    /// The certificate of the gateway's authority, PEM.
    pub(crate) authority: String,
    _folder: tempfile::TempDir,
}

impl Site {
    /// Starts the servers.
    ///
    /// # Errors
    /// If a server refuses a request. A server that does not start panics with its log.
    pub(crate) async fn start(binary: &Path) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("slacktide-bench-").tempdir()?;
        let path = folder.path();
        let exchange = Exchange::start(path, &READERS).await?;
        let authority = certificates(path)?;
        let port = free_port();
        fs::write(path.join("gateway.toml"), config(&exchange.server.url(), port))?;
        let seed = fs::read_to_string(path.join("bureau.seed"))?;
        let bureau =
            JetStream::connect(Options::command(exchange.server.url(), "bureau", seed.trim())).await?;
        let mut readers = Vec::new();
        for reader in READERS {
            let [before_last, last] = publish(&bureau, &exchange, reader).await?;
            let token = token(binary, path, reader)?;
            readers.push(Reader {
                token,
                before_last,
                last,
            });
        }
        let writer = token(binary, path, "bureau")?;
        let mut command = Command::new(binary);
        command
            .current_dir(path)
            .args(["gateway", "run", "--config", "gateway.toml"])
            .env("SLACKTIDE_LOG", "warn");
        let mut gateway = Process::spawn("gateway", &mut command);
        until("the gateway to listen", READY_WITHIN, async || {
            if let Some(status) = gateway.ended() {
                panic!("the gateway ended with {status}:\n{}", gateway.stderr());
            }
            let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Ok(Self {
            exchange,
            gateway,
            port,
            readers,
            writer,
            authority,
            _folder: folder,
        })
    }
}

/// Returns the path of a poll.
pub(crate) fn poll_path(cursor: &str) -> String {
    format!("/v1/feeds/{FEED}/chunks?max=1&after={cursor}")
}

/// Returns the path of a writer's lane.
pub(crate) fn lane_path(writer: u32) -> String {
    format!("/v1/lanes/{WRITTEN}/written-{writer}/tail")
}

/// The gateway's file: its limits are above the load, so that only its own work is measured.
fn config(nats: &str, port: u16) -> String {
    let party = |name: &str, role: &str| {
        format!("[[party]]\nname = \"{name}\"\nrole = \"{role}\"\nseed = {{ file = \"{name}.seed\" }}\n")
    };
    let parties: String = READERS.map(|name| party(name, "recipient")).concat();
    format!(
        "[gateway]\nlisten = \"127.0.0.1:{port}\"\ntokens = \"tokens.json\"\n\
         [gateway.tls]\ncert = \"gateway.pem\"\nkey = \"gateway.key\"\n\
         [gateway.limits]\nconnections = 4200\nrequests = 4200\nparty_requests = 4200\nrequests_per_second = 1000000\n\
         burst = 1000000\n\
         [exchange]\nurl = \"{nats}\"\n{}{parties}[health]\nlisten = \"127.0.0.1:{}\"\n",
        party("bureau", "bureau"),
        free_port()
    )
}

/// Makes a token, as an operator does.
fn token(binary: &Path, folder: &Path, party: &str) -> Outcome<String> {
    let made = Command::new(binary)
        .current_dir(folder)
        .args([
            "gateway",
            "token",
            "new",
            "--config",
            "gateway.toml",
            "--party",
            party,
        ])
        .output()?;
    if !made.status.success() {
        return Err(format!("no token: {}", String::from_utf8_lossy(&made.stderr)).into());
    }
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}

/// Publishes the feed of a reader; returns the cursors before and after its last chunk.
async fn publish(bureau: &JetStream, exchange: &Exchange, reader: &str) -> Outcome<[String; 2]> {
    let lane = Lane {
        recipient: RecipientName::new(reader)?,
        feed: FeedName::new(FEED)?,
    };
    let (mut sequence, mut previous, mut cursors) = (0, None, Vec::new());
    for number in 1..=CHUNKS {
        let mut plain = Vec::new();
        for row in 0..ROWS {
            let text = format!("the text of row {row}");
            rows::pack(&[Value::Int(row), Value::Text(&text)], &mut plain)?;
        }
        let manifest = manifest(exchange, &lane, number, previous)?;
        let signed = SignedChunk::sign(manifest, &plain, &exchange.chunk_key, None)?;
        match bureau.publish_chunk(&lane, signed.bytes.into(), sequence).await? {
            Published::Done { sequence: stored } => sequence = stored,
            Published::Conflict => return Err("another publisher".into()),
        }
        previous = Some(signed.digest);
        let cursor = web::interface::cursor::FeedCursor::after(1, number, sequence, &signed.digest);
        cursors.push(cursor.to_string());
    }
    let last = cursors.pop().ok_or("no chunk")?;
    Ok([cursors.pop().ok_or("no chunk before the last")?, last])
}

fn manifest(exchange: &Exchange, lane: &Lane, number: u64, previous: Option<Digest>) -> Outcome<Manifest> {
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
        nullable: true,
    };
    let now = Timestamp::now();
    Ok(Manifest {
        recipient: lane.recipient.clone(),
        feed: lane.feed.clone(),
        origin: None,
        epoch: 1,
        number,
        previous,
        opening: None,
        resync: None,
        repair: None,
        heads: Heads::default(),
        cursor_before: None,
        cursor_after: None,
        source: None,
        content: Content {
            schema: RowSchema {
                name: FEED.to_owned(),
                version: 1,
                columns: vec![
                    column("id", ColumnType::Int8),
                    column("name", ColumnType::Text { max: None }),
                ],
                key: vec!["id".to_owned()],
                tombstone: None,
            },
            definition: Digest::of(&[b"bench"]),
            totals: Totals {
                rows: ROWS.unsigned_abs(),
                ..Totals::default()
            },
            load: Load::default(),
            rejects: Vec::new(),
            body: schemas::body::compress(b"")?.format,
            read_from: now,
            read_to: now,
            instance: "bench".to_owned(),
            key: exchange.chunk_key.public().clone(),
            algorithms: Algorithms::default(),
        },
    })
}

/// Writes the gateway's certificate and key; returns the authority's certificate.
fn certificates(folder: &Path) -> Outcome<String> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer)?.pem();
    for (name, text) in [("gateway.pem", certificate), ("gateway.key", key.serialize_pem())] {
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(pem)
}
