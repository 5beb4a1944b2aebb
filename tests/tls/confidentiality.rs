//! What the exchange's operator can read with every file and the administrator's connection: of an encrypted lane the parties,
//! times and sizes, and nothing of its rows. An unencrypted lane shows that the search works.

use super::exchange_admin::{admin, claims};
use super::exchange_contents;
use super::site::{DEADLINE, Site};
use harness::until;

/// Two tables that differ in every value. Times and numbers are chosen so that they occur nowhere by coincidence.
const TABLES: &str = "CREATE TABLE sealed (id INTEGER PRIMARY KEY, at TEXT, person TEXT, amount NUMERIC(12,2), memo TEXT);
    CREATE TABLE clear (id INTEGER PRIMARY KEY, at TEXT, person TEXT, amount NUMERIC(12,2), memo TEXT);
    INSERT INTO sealed VALUES (7340001734000, '1987-05-06 07:08:09', 'Aurelia Hidden', '8765.43', 'sealed diagnosis'),
        (7340002734000, '1987-05-06 07:08:10', 'Cassius Hidden', '1111.11', 'sealed therapy');
    INSERT INTO clear VALUES (9450001945000, '1976-03-04 05:06:07', 'Berta Visible', '2345.67', 'open diagnosis');";

const ENCRYPTED: [&str; 8] = [
    "Aurelia Hidden",
    "sealed diagnosis",
    "sealed therapy",
    "1987-05-06",
    "7340001734000",
    "7340002734000",
    "8765.43",
    // The sum.
    "9876.54",
];

fn feed(name: &str, recipient: &str) -> String {
    format!(
        "[[feed]]\nname = \"{name}\"\nsql = \"SELECT id, at, person, amount, memo FROM {name}\"\n\
         cursor = [\"at\", \"id\"]\ncursor_set_by = \"application\"\nlag = \"1500ms\"\nkey = [\"id\"]\n\
         money = [\"amount\"]\nrecipients = [\"{recipient}\"]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn exchange_operator_reads_no_value_of_an_encrypted_row() {
    // Without encryption at rest: the operator has that key anyway.
    let mut site = Site::start(&["insurer-a", "insurer-b"], |text| {
        text.replace("include at-rest.conf", "#include at-rest.conf")
    })
    .await;
    site.open("bureau/core.db").execute_batch(TABLES).unwrap();
    let social = site.agent("bureau", "reading", |text| {
        let (head, _) = text.split_once("[[feed]]").unwrap();
        // Only insurer-a's chunks are encrypted.
        let head: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with("insurer-b = \"X"))
            .collect();
        head.join("\n") + "\n" + &feed("sealed", "insurer-a") + &feed("clear", "insurer-b")
    });
    let poller = site.poller("reading");
    until("the sealed rows in the store", DEADLINE, async || {
        let stored = claims(&site.open("insurer-a/store.db"), "sealed");
        (stored == Some(2)).then_some(())
    })
    .await;
    social
        .wait_status("the lane in clear", "/lanes/insurer-b.clear/number", |number| {
            number.as_u64() >= Some(1)
        })
        .await;
    poller
        .wait_status(
            "the receipt for the sealed ones",
            "/lanes/insurer-a.sealed/receipted",
            |to| to.as_u64() >= Some(1),
        )
        .await;

    let messages = exchange_contents::messages(&admin(&site).await).await;
    social.stop().await;
    poller.stop().await;
    site.nats.stop().await;
    let files = exchange_contents::files(&site.nats.store());
    for (place, bytes) in [("messages", &messages), ("files", &files)] {
        // The search works: both lanes' names, and the position of the unencrypted lane.
        for word in ["data.insurer-a.sealed", "data.insurer-b.clear", "1976-03-04"] {
            assert!(
                exchange_contents::contains(bytes, word),
                "{place} were not read: no {word}"
            );
        }
        for word in ENCRYPTED {
            assert!(
                !exchange_contents::contains(bytes, word),
                "{word} is readable in the {place}"
            );
        }
    }
    assert!(
        exchange_contents::contains(&messages, "open diagnosis"),
        "compressed rows were not unpacked"
    );
}
