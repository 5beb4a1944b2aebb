//! Each rule of the bureau's file, with its message.

use super::*;

const HEAD: &str = "[social]\nname = \"bureau\"\nsource = \"core\"\n[exchange]\nurl = \"nats://a:1\"\nuser = \"bureau\"\nseed = { env = \"S\" }\n[signing]\nseed = { env = \"T\" }\n[source]\nkind = \"sqlite\"\npath = \"core.db\"\n";
const FEED: &str = "[[feed]]\nname = \"setl\"\nsql = \"SELECT * FROM setl\"\ncursor = [\"updt_time\", \"id\"]\ncursor_set_by = \"application\"\nlag = \"1s\"\nkey = [\"id\"]\nrecipients = [\"insurer-a\"]\n";

fn file(change: impl Fn(String) -> String) -> Result<SocialFile, toml::de::Error> {
    let key = schemas::sign::SigningKey::generate();
    let trust = format!("[trust.receipts]\ninsurer-a = [\"{}\"]\n", key.public());
    toml::from_str(&change(format!("{HEAD}{trust}{FEED}")))
}

fn first(change: impl Fn(String) -> String) -> String {
    match file(change) {
        Ok(file) => file
            .violations()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn social_file_valid_violates_no_rule() {
    assert_eq!(first(|text| text), "");
}

#[test]
fn social_file_each_rule_has_its_message() {
    for (from, to, wanted) in [
        ("lag = \"1s\"\n", "", "feed.lag: is missing"),
        (
            "cursor = [\"updt_time\", \"id\"]",
            "cursor = []",
            "feed.cursor: is empty",
        ),
        ("key = [\"id\"]", "key = []", "feed.key: is empty"),
        (
            "key = [\"id\"]",
            "key = [\"id\", \"id\"]",
            "feed.key: names a column twice",
        ),
        (
            "recipients = [\"insurer-a\"]",
            "recipients = []",
            "feed.recipients: is empty",
        ),
        (
            "recipients = [\"insurer-a\"]",
            "recipients = [\"insurer-b\"]",
            "names insurer-b, whose receipts no key could verify",
        ),
        (
            "\"application\"",
            "\"transaction\"",
            "feed.cursor_set_by: names a fence that SQLite cannot provide",
        ),
        (
            "SELECT * FROM setl",
            "DELETE FROM setl",
            "feed.sql: does not begin with SELECT",
        ),
        (
            "path = \"core.db\"",
            "url = { env = \"U\" }",
            "source.path: is missing",
        ),
        (
            "kind = \"sqlite\"\npath = \"core.db\"",
            "kind = \"postgres\"\nurl = { value = \"postgres://u:p@h/d\" }",
            "source.url: holds a password",
        ),
        ("nats://a:1", "http://a:1", "exchange.url: is not an address"),
        (
            "path = \"core.db\"\n",
            "path = \"core.db\"\n[publisher]\nquantum = \"2s\"\n",
            "publisher.quantum: is 2s",
        ),
        (
            "path = \"core.db\"\n",
            "path = \"core.db\"\n[gate]\ngood_samples = 0\n",
            "gate.good_samples: is 0",
        ),
        (
            "path = \"core.db\"\n",
            "path = \"core.db\"\n[gate.signals.database.active]\nstop = 20\nresume = 10\n",
            "gate.signals.database.active: SQLite does not show other clients' activity",
        ),
        (
            "path = \"core.db\"\n",
            "path = \"core.db\"\n[lease]\nttl = \"10ms\"\n",
            "lease.ttl: is 10ms",
        ),
        (
            "recipients = [\"insurer-a\"]",
            "recipients = [\"insurer-a\"]\n[feed.masks.insurer-a]\nid = \"token\"",
            "feed.masks.insurer-a: column \"id\" is a cursor column of the feed",
        ),
        (
            "recipients = [\"insurer-a\"]",
            "recipients = [\"insurer-a\"]\n[feed.masks.insurer-a]\npsn_no = \"token\"",
            "feed.masks.insurer-a: masks \"psn_no\" as a token, and there is no key",
        ),
        (
            "recipients = [\"insurer-a\"]",
            "recipients = [\"insurer-a\"]\n[feed.masks.insurer-b]\npsn_no = \"drop\"",
            "feed.masks.insurer-b: names a party that is not a recipient of the feed",
        ),
        (
            "recipients = [\"insurer-a\"]",
            "recipients = [\"insurer-a\"]\n[feed.masks.insurer-a]\npsn_no = { prefix = 0 }",
            "feed.masks.insurer-a: column \"psn_no\": a mask that keeps no character is written \"drop\"",
        ),
        ("[[feed]]", "[[feeed]]", "unknown field `feeed`"),
        ("key = [\"id\"]", "kee = [\"id\"]", "unknown field `kee`"),
        (
            "key = [\"id\"]",
            "key = [\"id\"]\ntypes = { a = \"decimall\" }",
            "gives column \"a\" the type \"decimall\"",
        ),
    ] {
        let found = first(|text| text.replace(from, to));
        assert!(found.contains(wanted), "{to}: {found}");
    }
    let twice = first(|text| format!("{text}{FEED}"));
    assert!(
        twice.contains("feed.name: \"setl\" is taken by another feed"),
        "{twice}"
    );
}

#[test]
fn trust_connection_key_is_named() {
    let user = nkeys::KeyPair::new_user().public_key();
    let found = first(|text| text.replace("insurer-a = [\"", &format!("insurer-a = [\"{user}\", \"")));
    assert!(found.contains("connection (user) key"), "{found}");
}
