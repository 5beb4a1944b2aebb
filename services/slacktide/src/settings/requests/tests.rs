//! Kinds as they ship and as they are written wrongly.

use std::path::Path;

use schemas::sign::SigningKey;

use crate::settings::SocialFile;
use crate::settings::file::Checked;

const HEAD: &str = "[social]\nname = \"bureau\"\nsource = \"core\"\n[exchange]\nurl = \"nats://a:1\"\n\
     user = \"bureau\"\nseed = { env = \"S\" }\n[signing]\nseed = { env = \"T\" }\n[source]\nkind = \"postgres\"\n\
     url = { env = \"U\" }\n[masking]\nkey = { env = \"M\" }\n";

fn text(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// A bureau's file with these kinds, officers and keys of insurer-a.
fn file(kinds: &str) -> Result<SocialFile, String> {
    let key = SigningKey::generate();
    let officers = ["li_na", "wang_wei"].map(|name| format!("{name} = [\"{}\"]\n", key.public()));
    let trust = format!(
        "[trust.receipts]\ninsurer-a = [\"{0}\"]\ninsurer-b = [\"{0}\"]\n[trust.officers]\n{1}",
        key.public(),
        officers.concat()
    );
    toml::from_str(&format!("{HEAD}{trust}{kinds}")).map_err(|error| error.to_string())
}

fn told(kinds: &str) -> String {
    match file(kinds) {
        Ok(file) => {
            let broken = file.broken();
            broken.iter().map(|one| format!("{one}\n")).collect()
        }
        Err(error) => error,
    }
}

/// The blocks of TOML in a page.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
}

#[test]
fn the_example_in_the_documentation_is_a_whole_kind() {
    let page = text("docs/requests.md");
    let kinds: Vec<&str> = blocks(&page).filter(|block| block.contains("[[kind]]")).collect();
    assert_eq!(kinds.len(), 1);
    // The example answers with a feed's rows.
    let kind = format!("{}{}", kinds[0], text("config/feeds/setl.toml"));
    assert_eq!(told(&kind), "");
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
    assert_eq!(told(kinds), "");
    file(kinds).unwrap()
}

#[test]
fn the_kinds_that_ship_are_whole_and_need_no_more_than_the_feed_of_settlements() {
    let feed = text("config/feeds/setl.toml");
    for name in ["setl_by_person", "setl_sums"] {
        let file = file_with(&format!("{feed}{}", text(&format!("config/kinds/{name}.toml"))));
        assert_eq!(file.kinds.len(), 1, "{name}");
    }
}

#[test]
fn a_file_has_kinds_or_feeds_or_both() {
    let kind = text("config/kinds/setl_by_person.toml").replace("feeds = [\"setl\"]", "");
    assert_eq!(told(&kind), "");
    assert!(told("").contains("one [[kind]] of requests"));
}

#[test]
fn each_fault_names_the_kind_and_what_to_do() {
    let kind = text("config/kinds/setl_by_person.toml").replace("feeds = [\"setl\"]", "");
    for (from, to, wanted) in [
        ("psn_no = $1", "psn_no = 'x'", "kind \"setl.by_person\": sql: "),
        (
            "recipient = \"insurer-a\"",
            "recipient = \"insurer-c\"",
            "kind \"setl.by_person\" is granted to insurer-c, whose requests nobody could check",
        ),
        (
            "most_rows = 1000\n",
            "most_rows = 1000\nfeeds = [\"fee\"]\n",
            "kind \"setl.by_person\" names feed fee, which is not in the file",
        ),
        (
            "most_rows = 1000\n",
            "most_rows = 1000\napproval = { officers = 3 }\n",
            "trust.officers: kind \"setl.by_person\" waits for 3 officers, and 2 are named",
        ),
        ("most_rows", "most_row", "unknown field `most_row`"),
    ] {
        let told = told(&kind.replace(from, to));
        assert!(told.contains(wanted), "{to}: {told}");
    }
    let keyless = HEAD.replace("[masking]\nkey = { env = \"M\" }\n", "");
    let key = SigningKey::generate();
    let file: SocialFile = toml::from_str(&format!(
        "{keyless}[trust.receipts]\ninsurer-a = [\"{}\"]\n{}",
        key.public(),
        kind.replace("psn_no = { keep = { last = 4 } }", "psn_no = \"token\"")
    ))
    .unwrap();
    let told: String = file.broken().iter().map(ToString::to_string).collect();
    assert!(
        told.contains("masks \"psn_no\" as a token, and there is no key"),
        "{told}"
    );
}

#[test]
fn who_asks_by_other_keys_is_known_by_those_alone() {
    let (receipts, asks) = (SigningKey::generate(), SigningKey::generate());
    let kind = text("config/kinds/setl_by_person.toml").replace("feeds = [\"setl\"]", "");
    let file: SocialFile = toml::from_str(&format!(
        "{HEAD}[trust.receipts]\ninsurer-a = [\"{}\"]\n[trust.requests]\ninsurer-a = [\"{}\"]\n{kind}",
        receipts.public(),
        asks.public()
    ))
    .unwrap();
    let askers = file.trust.askers();
    assert_eq!(askers.values().next(), Some(&vec![asks.public().clone()]));
}
