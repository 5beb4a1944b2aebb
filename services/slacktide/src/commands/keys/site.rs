//! Creates a complete test site.
//!
//! Each machine gets a folder with the files of its party and no other. The authority's folder belongs on none of
//! these machines.

use std::path::Path;

use nats::topology::Parties;
use nats::topology::server::{Hardening, environment, hardened};
use runtime::exit::Exit;
use rusqlite::Connection;
use schemas::name::RecipientName;

use super::certificates::{self, Pair};
use super::issue::authority_in;
use super::samples::{self, Site};
use super::{Public, files, write_keys};
use crate::cli::keys::SiteArgs;
use crate::failure::{Failure, Outcome};
use crate::output;

const USERS: [&str; 3] = ["admin", "auditor", "bureau"];

/// Makes a site in a folder that holds none yet, and prints how to start it.
pub(crate) fn make(args: &SiteArgs) -> Outcome {
    let recipients: Vec<RecipientName> = args
        .recipient
        .iter()
        .map(RecipientName::new)
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::usage(error.to_string()))?;
    if recipients
        .iter()
        .any(|name| USERS.contains(&name.as_str()) || ["authority", "exchange"].contains(&name.as_str()))
    {
        return Err(Failure::usage(
            "a recipient cannot have the name of a folder of the site; choose another",
        ));
    }
    let listed = Parties::shipped(&recipients).map_err(|error| Failure::usage(error.to_string()))?;
    std::fs::create_dir_all(&args.out).map_err(|error| path_error(&args.out, &error))?;
    let out = args
        .out
        .canonicalize()
        .map_err(|error| path_error(&args.out, &error))?;
    if out.join("authority").exists() {
        return Err(path_error(
            &out.join("authority"),
            &"exists already, and a site is never overwritten",
        ));
    }
    let mut names = args.host.clone();
    for usual in ["localhost", "127.0.0.1"] {
        if !names.iter().any(|name| name == usual) {
            names.push(usual.to_owned());
        }
    }
    let authority = certificates::authority("authority of a Slacktide site")?;
    files::write_new(
        &out.join("authority"),
        &[
            ("ca.pem".to_owned(), authority.certificate.clone()),
            ("ca.key".to_owned(), authority.key.clone()),
            ("names".to_owned(), names.join("\n") + "\n"),
        ],
    )?;
    let mut keys: Vec<(String, Public)> = Vec::new();
    let users = USERS.map(str::to_owned).into_iter();
    for user in users.chain(recipients.iter().map(ToString::to_string)) {
        let folder = out.join(&user);
        let public = write_keys(&folder)?;
        let client = certificates::client(&authority, &user, args.days)?;
        files::write_new(
            &folder,
            &[
                ("ca.pem".to_owned(), authority.certificate.clone()),
                ("client.pem".to_owned(), client.certificate),
                ("client.key".to_owned(), client.key),
            ],
        )?;
        keys.push((user, public));
    }
    exchange(&out, args, &authority, &listed, &names, &keys)?;
    let (parties, insurers) = keys.split_at(USERS.len());
    let bureau = parties.last().map(|(_, keys)| keys.clone()).unwrap_or_default();
    let site = Site {
        name: &args.name,
        exchange: &args.listen,
        bureau: &bureau,
        recipients: insurers,
    };
    let one = |folder: &str, file: &str, text: String| {
        files::write_new(&out.join(folder), &[(file.to_owned(), text)])
    };
    one("admin", "admin.toml", samples::admin(&site))?;
    one("auditor", "auditor.toml", samples::auditor(&site))?;
    one("bureau", "social.toml", samples::social(&site))?;
    for (at, (name, _)) in (0_u16..).zip(insurers) {
        one(
            name,
            "commercial.toml",
            samples::commercial(&site, name, 9102_u16.saturating_add(at)),
        )?;
    }
    core(&out.join("bureau/core.db"))?;
    print_next_steps(&out, &recipients);
    Ok(Exit::Done)
}

/// The exchange's folder: the shipped configuration with TLS and encryption at rest, and what it
/// is started with.
fn exchange(
    out: &Path,
    args: &SiteArgs,
    authority: &Pair,
    parties: &Parties,
    names: &[String],
    keys: &[(String, Public)],
) -> Result<(), Failure> {
    let folder = out.join("exchange");
    let with = Hardening {
        tls: true,
        at_rest: true,
    };
    let mut texts = hardened(parties, with);
    let server = certificates::server(authority, names, args.days)?;
    texts.push(("server.pem".to_owned(), server.certificate));
    texts.push(("server.key".to_owned(), server.key));
    texts.push(("ca.pem".to_owned(), authority.certificate.clone()));
    let publics: Vec<(&str, &str)> = keys
        .iter()
        .map(|(user, keys)| (user.as_str(), keys.connect.as_str()))
        .collect();
    let mut variables = environment(&args.listen, "127.0.0.1:8222", &folder.join("streams"), &publics);
    let file = |name: &str| folder.join(name).display().to_string();
    // A letter first, so that the server takes it for a word in any case.
    let secret = format!("K{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    variables.extend([
        ("SLACKTIDE_TLS_CERT".to_owned(), file("server.pem")),
        ("SLACKTIDE_TLS_KEY".to_owned(), file("server.key")),
        ("SLACKTIDE_TLS_CA".to_owned(), file("ca.pem")),
        ("SLACKTIDE_STORE_KEY".to_owned(), secret),
    ]);
    let text: String = variables
        .iter()
        .map(|(name, value)| format!("{name}='{value}'\n"))
        .collect();
    texts.push(("server.env".to_owned(), text));
    files::write_new(&folder, &texts)
}

/// An example of a core, so that something crosses at once.
fn core(path: &Path) -> Result<(), Failure> {
    let made = Connection::open(path).and_then(|core| {
        core.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE claim (id INTEGER PRIMARY KEY, updated_at TEXT NOT NULL, person TEXT, amount NUMERIC(12,2),
                 memo TEXT, deleted BOOLEAN NOT NULL DEFAULT 0);
             CREATE INDEX claim_position ON claim (updated_at, id);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             INSERT INTO claim SELECT i, strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour', '+' || (i * 1.007) || ' seconds'),
                 'person ' || i, printf('%d.%02d', i * 3, i % 100), 'an example', 0 FROM n;",
        )
    });
    made.map_err(|error| path_error(path, &error))
}

fn print_next_steps(out: &Path, recipients: &[RecipientName]) {
    let out = out.display();
    let mut apply = String::new();
    let mut pollers = String::new();
    for name in recipients {
        apply += &format!(" --recipient {name}");
        pollers += &format!("  slacktide commercial run --config {out}/{name}/commercial.toml &\n");
    }
    let text = format!(
        "A site is in {out}: one folder for each machine, with what that party needs and no more.\n\
         Start it here, on one machine:\n\n\
         \x20 (set -a; . {out}/exchange/server.env; exec nats-server --pid {out}/exchange/nats-server.pid \\\n\
         \x20    --config {out}/exchange/server.conf) &\n\
         \x20 until slacktide exchange apply --config {out}/admin/admin.toml{apply} --yes; do sleep 1; done\n\
         \x20 slacktide social run --config {out}/bureau/social.toml &\n{pollers}\
         \x20 slacktide audit verify --config {out}/auditor/auditor.toml\n\n\
         Keep {out}/authority off these machines: it renews certificates (`slacktide keys renew --site {out}`).\n\
         Keep a copy of SLACKTIDE_STORE_KEY in {out}/exchange/server.env where the streams are not."
    );
    output::lines(text.lines());
}

/// Renews the certificates of a site; the private keys are new, too.
pub(crate) fn renew(site: &Path, days: u32) -> Outcome {
    let folder = site.join("authority");
    let authority = authority_in(&folder)?;
    let names: Vec<String> = files::read(&folder.join("names"))?
        .lines()
        .map(str::to_owned)
        .collect();
    let mut renewed = Vec::new();
    let mut folders: Vec<_> = std::fs::read_dir(site)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(|error| path_error(site, &error))?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    for folder in folders {
        let user = folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        let (pair, name) = if folder.join("server.pem").exists() {
            (certificates::server(&authority, &names, days)?, "server")
        } else if folder.join("client.pem").exists() {
            (certificates::client(&authority, &user, days)?, "client")
        } else {
            continue;
        };
        // Between the two steps no client can connect with them; a retry succeeds.
        files::replace(&folder, &format!("{name}.key"), &pair.key)?;
        files::replace(&folder, &format!("{name}.pem"), &pair.certificate)?;
        renewed.push(user);
    }
    output::line(&format!("renewed for {days} days: {}", renewed.join(", ")));
    output::line(
        "the exchange reads its own with `nats-server --signal reload`, agents theirs when they connect again",
    );
    Ok(Exit::Done)
}

fn path_error(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {error}", path.display()))
}
