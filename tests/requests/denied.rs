//! What a recipient may not have is in no byte that is sent, stored at the exchange, logged or kept by the insurer.

use std::fs;
use std::path::Path;

use exchange::port::Stream;
use schemas::part;
use schemas::seal::SealRing;

use super::office::{INSURERS, Office};

/// Every byte below a folder that holds a word; compressed bodies are looked at unpacked, below.
fn files_with(folder: &Path, word: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, word, found);
        } else if holds(&fs::read(&path).unwrap_or_default(), word) {
            found.push(path.display().to_string());
        }
    }
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_or_masked_is_nowhere() {
    let office = Office::start("denied", 20_000, "mode = \"open\"").await;
    let social = office.bureau().await;
    let agents = INSURERS.map(|insurer| office.commercial(insurer, &format!("{insurer}-1")));
    for agent in &agents {
        agent
            .shows("the store to be prepared", "/is_prepared", |is| *is == true)
            .await;
    }
    let arguments = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];
    for insurer in INSURERS {
        let id = office.ask(insurer, "claim.by_person", &arguments, &[]).await;
        office.stands(insurer, &id, "stored_by_insurer").await;
    }
    // Rows came, and what may be seen of them is there.
    assert_eq!(
        office
            .store
            .number("SELECT count(*) FROM answer_claim__by_person WHERE psn_name = 'p*'")
            .await,
        40
    );
    assert!(office.answers_of_b().len() == 1);

    // What was sent, unpacked. insurer-b gets a token in place of the number by which it asked.
    let trusted = [schemas::sign::PublicKey::new(&office.sign_pub("bureau")).unwrap()];
    let parts = office.stream(Stream::Parts).await;
    assert_eq!(parts.len(), 2);
    for stored in &parts {
        let opened = part::open(&stored.bytes, &trusted, &SealRing::default()).unwrap();
        for (word, recipient) in [
            ("unsaid-", None),
            ("person 7", None),
            ("p000007", Some("insurer-b")),
        ] {
            let theirs = recipient.is_none_or(|recipient| opened.part.recipient.as_str() == recipient);
            assert!(
                !(theirs && holds(&opened.plain, word)),
                "{word} was sent to {}",
                opened.part.recipient
            );
        }
    }
    // What is kept by the insurers, with all that their databases keep beside the rows.
    let dumped = "SELECT count(*) FROM (SELECT query_to_xml(format('SELECT * FROM %I.%I', table_schema, table_name), true, true, '')::text \
                  AS dumped FROM information_schema.tables WHERE table_schema IN ('public', 'slacktide')) d WHERE dumped ~ 'unsaid-|person 7'";
    assert_eq!(office.store.number(dumped).await, 0);
    let answers = rusqlite::Connection::open(office.file("insurer-b.db")).unwrap();
    let told = "SELECT count(*) FROM answer_claim__by_person WHERE psn_no LIKE '%p000007%'";
    assert_eq!(
        answers.query_row(told, [], |row| row.get::<_, i64>(0)).unwrap(),
        0
    );
    // Files of the exchange and of the agents, and every log line.
    for word in ["unsaid-", "person 7"] {
        let mut found = Vec::new();
        files_with(&office.nats.store(), word, &mut found);
        files_with(&office.file("."), word, &mut found);
        assert!(found.is_empty(), "{word} stands in {found:?}");
    }
    for word in ["unsaid-", "person 7", "p000007"] {
        for agent in agents.iter().chain([&social]) {
            let logged = agent.process.stdout() + &agent.process.stderr();
            assert!(!logged.contains(word), "{word} was logged:\n{logged}");
        }
    }
    social.stop().await;
    for agent in agents {
        agent.stop().await;
    }
}
