//! Shipped and invalid kinds.

use std::path::Path;

use schemas::sign::SigningKey;

use crate::settings::SocialFile;
use crate::settings::file::Validate;

const HEAD: &str = "[social]\nname = \"bureau\"\nsource = \"core\"\n[exchange]\nurl = \"nats://a:1\"\n\
     user = \"bureau\"\nseed = { env = \"S\" }\n[signing]\nseed = { env = \"T\" }\n[source]\nkind = \"postgres\"\n\
     url = { env = \"U\" }\n[masking]\nkey = { env = \"M\" }\n";

fn text(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// A bureau's file with these kinds, officers and keys of insurer-a.
fn file(kinds: &str) -> Result<SocialFile, toml::de::Error> {
    let key = SigningKey::generate();
    let officers = ["li_na", "wang_wei"].map(|name| format!("{name} = [\"{}\"]\n", key.public()));
    let trust = format!(
        "[trust.receipts]\ninsurer-a = [\"{0}\"]\ninsurer-b = [\"{0}\"]\n[trust.officers]\n{1}",
        key.public(),
        officers.concat()
    );
    toml::from_str(&format!("{HEAD}{trust}{kinds}"))
}

fn violations_of(kinds: &str) -> String {
    match file(kinds) {
        Ok(file) => {
            let violations = file.violations();
            violations.iter().map(|one| format!("{one}\n")).collect()
        }
        Err(error) => error.to_string(),
    }
}

/// The blocks of TOML in a page.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
}

#[test]
fn kinds_example_in_the_documentation_is_complete() {
    let page = text("docs/requests.md");
    let kinds: Vec<&str> = blocks(&page).filter(|block| block.contains("[[kind]]")).collect();
    assert_eq!(kinds.len(), 1);
    // The example answers with a feed's rows.
    let kind = format!("{}{}", kinds[0], text("config/feeds/setl.toml"));
    assert_eq!(violations_of(&kind), "");
    let file = file(&kind).unwrap();
    assert_eq!(file.requests.quota.len(), 0);
    let tables: Vec<&str> = blocks(&page)
        .filter(|block| block.contains("[requests.quota."))
        .collect();
    assert_eq!(tables.len(), 1);
    let file = file_with(&format!("{}{kind}", tables[0]));
    assert_eq!(file.requests.quota.len(), 1);
}

fn file_with(kinds: &str) -> SocialFile {
    assert_eq!(violations_of(kinds), "");
    file(kinds).unwrap()
}

#[test]
fn kinds_shipped_need_only_the_settlement_feed() {
    let feed = text("config/feeds/setl.toml");
    for name in ["setl_by_person", "setl_sums"] {
        let file = file_with(&format!("{feed}{}", text(&format!("config/kinds/{name}.toml"))));
        assert_eq!(file.kinds.len(), 1, "{name}");
    }
}

#[test]
fn file_has_kinds_or_feeds_or_both() {
    let kind = text("config/kinds/setl_by_person.toml").replace("feeds = [\"setl\"]", "");
    assert_eq!(violations_of(&kind), "");
    assert!(violations_of("").contains("one [[kind]] of requests"));
}

#[test]
fn kinds_each_violation_names_the_kind_and_the_remedy() {
    let kind = text("config/kinds/setl_by_person.toml").replace("feeds = [\"setl\"]", "");
    for (from, to, wanted) in [
        ("psn_no = $1", "psn_no = 'x'", "kind \"setl.by_person\": sql: "),
        (
            "recipient = \"insurer-a\"",
            "recipient = \"insurer-c\"",
            "kind \"setl.by_person\" is granted to insurer-c, whose requests no key could verify",
        ),
        (
            "max_rows = 1000\n",
            "max_rows = 1000\nfeeds = [\"fee\"]\n",
            "kind \"setl.by_person\" names feed fee, which is not in the file",
        ),
        (
            "max_rows = 1000\n",
            "max_rows = 1000\napproval = { officers = 3 }\n",
            "trust.officers: kind \"setl.by_person\" waits for 3 officers, and 2 are named",
        ),
        ("max_rows", "max_row", "unknown field `max_row`"),
    ] {
        let found = violations_of(&kind.replace(from, to));
        assert!(found.contains(wanted), "{to}: {found}");
    }
    let keyless = HEAD.replace("[masking]\nkey = { env = \"M\" }\n", "");
    let key = SigningKey::generate();
    let file: SocialFile = toml::from_str(&format!(
        "{keyless}[trust.receipts]\ninsurer-a = [\"{}\"]\n{}",
        key.public(),
        kind.replace("psn_no = { keep = { last = 4 } }", "psn_no = \"token\"")
    ))
    .unwrap();
    let found: String = file.violations().iter().map(ToString::to_string).collect();
    assert!(
        found.contains("masks \"psn_no\" as a token, and there is no key"),
        "{found}"
    );
}

#[test]
fn trust_requests_keys_replace_the_receipt_keys() {
    let (receipts, asks) = (SigningKey::generate(), SigningKey::generate());
    let kind = text("config/kinds/setl_by_person.toml").replace("feeds = [\"setl\"]", "");
    let file: SocialFile = toml::from_str(&format!(
        "{HEAD}[trust.receipts]\ninsurer-a = [\"{}\"]\n[trust.requests]\ninsurer-a = [\"{}\"]\n{kind}",
        receipts.public(),
        asks.public()
    ))
    .unwrap();
    let request_keys = file.trust.request_keys();
    assert_eq!(request_keys.values().next(), Some(&vec![asks.public().clone()]));
}
