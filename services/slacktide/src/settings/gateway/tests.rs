//! The rules of the gateway's file.

use std::path::PathBuf;

use super::*;
use crate::settings::load;

const FILE: &str = "[gateway]\nlisten = \"127.0.0.1:8443\"\ntokens = \"tokens.json\"\n\
    [exchange]\nurl = \"nats://127.0.0.1:4222\"\n\
    [[party]]\nname = \"insurer-a\"\nrole = \"recipient\"\nseed = { file = \"connect.seed\" }\n";

fn load_text(text: &str) -> Result<GatewayFile, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path: PathBuf = folder.path().join("gateway.toml");
    std::fs::write(&path, text).map_err(|error| error.to_string())?;
    let loaded = load::<GatewayFile>(&path).map_err(|failure| failure.to_string())?;
    Ok(loaded.value)
}

#[test]
fn gateway_file_is_read_with_safe_limits() {
    let file = load_text(FILE).unwrap();
    let config = file.config(Path::new("/etc/slacktide")).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert!(config.tls.is_none() && file.identities().is_empty());
    assert_eq!(file.roles().into_values().collect::<Vec<_>>(), [Role::Recipient]);
}

#[test]
fn gateway_certificates_become_identities() {
    let digest = "AB".repeat(32);
    let tls = "[gateway.tls]\ncert = \"a.pem\"\nkey = \"a.key\"\nclient_ca = \"ca.pem\"\n[exchange]";
    let list = format!(
        "certificates = [\"spki:sha256:{digest}\", \"san:dns:a.example\", \"san:uri:spiffe://a/b\"]\n"
    );
    let file = load_text(&(FILE.replace("[exchange]", tls) + &list)).unwrap();
    let identities = file.identities();
    assert_eq!(identities.len(), 1);
    assert_eq!(identities[0].spki_sha256, [digest.to_ascii_lowercase()]);
    assert_eq!(identities[0].dns_names, ["a.example"]);
    assert_eq!(identities[0].uris, ["spiffe://a/b"]);
}

#[test]
fn gateway_file_violations_are_named() {
    for (from, to, expected) in [
        (
            "127.0.0.1:8443",
            "0.0.0.0:8443",
            "gateway.listen: is 0.0.0.0:8443",
        ),
        ("tokens = \"tokens.json\"\n", "", "gateway.tokens: is missing"),
        ("nats://", "http://", "exchange.url: is not an address"),
        (
            "role = \"recipient\"",
            "role = \"reader\"",
            "unknown variant `reader`",
        ),
        (
            "seed = {",
            "certificates = [\"san:dns:*.example\"]\nseed = {",
            "party.certificates: of insurer-a has \"san:dns:*.example\"",
        ),
        (
            "seed = {",
            "certificates = [\"san:dns:a.example\"]\nseed = {",
            "because gateway.tls.client_ca is missing",
        ),
        ("seed = {", "user = \"A B\"\nseed = {", "party.user: is \"A B\""),
        (
            "[[party]]",
            "[exchange.tls]\ncert = \"a.pem\"\nkey = \"a.key\"\n[[party]]",
            "exchange.tls.ca: is missing",
        ),
        (
            "[[party]]",
            "[exchange.tls]\nca = \"ca.pem\"\ncert = \"a.pem\"\n[[party]]",
            "exchange.tls: has a certificate without a key",
        ),
        (
            "[exchange]",
            "[gateway.limits]\nburst = 0\n[exchange]",
            "gateway.limits.burst: is 0; give 1 to",
        ),
        (
            "[exchange]",
            "[gateway.limits]\nmax_wait = \"1h\"\n[exchange]",
            "gateway.limits.max_wait: is 1h",
        ),
    ] {
        let found = load_text(&FILE.replace(from, to)).err().unwrap_or_default();
        assert!(found.contains(expected), "{to}: {found}");
    }
    let party = FILE.split_once("[[party]]").unwrap();
    let none = load_text(party.0).err().unwrap_or_default();
    assert!(none.contains("party: is missing"), "{none}");
    let twice = load_text(&format!("{FILE}[[party]]{}", party.1))
        .err()
        .unwrap_or_default();
    assert!(
        twice.contains("party.name: \"insurer-a\" is given twice"),
        "{twice}"
    );
}
