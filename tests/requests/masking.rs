//! A value that a recipient may not have is in no byte that is sent, stored at the exchange, logged or kept by the insurer.

use std::fs;
use std::path::Path;

use exchange::port::Stream;
use schemas::encryption::DecryptionKeys;
use schemas::part;

use super::request_site::{INSURERS, RequestSite};

/// Returns the files below a folder that contain a word; compressed bodies are searched unpacked, below.
fn files_with(folder: &Path, word: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, word, found);
        } else if contains(&fs::read(&path).unwrap_or_default(), word) {
            found.push(path.display().to_string());
        }
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn request_denied_or_masked_value_is_nowhere() {
    let request_site = RequestSite::start("denied", 20_000, "mode = \"open\"").await;
    let social = request_site.bureau().await;
    let agents = INSURERS.map(|insurer| request_site.commercial(insurer, &format!("{insurer}-1")));
    for agent in &agents {
        agent
            .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
            .await;
    }
    let arguments = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];
    for insurer in INSURERS {
        let id = request_site
            .ask(insurer, "claim.by_person", &arguments, &[])
            .await;
        request_site.wait_state(insurer, &id, "stored_by_insurer").await;
    }
    // Rows arrived, with the values that may be shown.
    assert_eq!(
        request_site
            .store
            .number("SELECT count(*) FROM answer_claim__by_person WHERE psn_name = 'p*'")
            .await,
        40
    );
    assert!(request_site.answers_of_b().len() == 1);

    // Messages as sent, unpacked. insurer-b gets a token instead of the number by which it asked.
    let trusted = [schemas::sign::PublicKey::new(&request_site.sign_pub("bureau")).unwrap()];
    let parts = request_site.stream(Stream::Parts).await;
    assert_eq!(parts.len(), 2);
    for stored in &parts {
        let opened = part::VerifiedPart::open(&stored.bytes, &trusted, &DecryptionKeys::default()).unwrap();
        for (word, recipient) in [
            ("unsaid-", None),
            ("person 7", None),
            ("p000007", Some("insurer-b")),
        ] {
            let theirs = recipient.is_none_or(|recipient| opened.manifest.recipient.as_str() == recipient);
            assert!(
                !(theirs && contains(&opened.plain, word)),
                "{word} was sent to {}",
                opened.manifest.recipient
            );
        }
    }
    // The insurers' databases, with all that they keep in addition to the rows.
    let dumped = "SELECT count(*) FROM (SELECT query_to_xml(format('SELECT * FROM %I.%I', table_schema, table_name), true, true, '')::text \
                  AS dumped FROM information_schema.tables WHERE table_schema IN ('public', 'slacktide')) d WHERE dumped ~ 'unsaid-|person 7'";
    assert_eq!(request_site.store.number(dumped).await, 0);
    let answers = rusqlite::Connection::open(request_site.file("insurer-b.db")).unwrap();
    let output = "SELECT count(*) FROM answer_claim__by_person WHERE psn_no LIKE '%p000007%'";
    assert_eq!(
        answers.query_row(output, [], |row| row.get::<_, i64>(0)).unwrap(),
        0
    );
    // Files of the exchange and of the agents, and all logs.
    for word in ["unsaid-", "person 7"] {
        let mut found = Vec::new();
        files_with(&request_site.nats.store(), word, &mut found);
        files_with(&request_site.file("."), word, &mut found);
        assert!(found.is_empty(), "{word} is in {found:?}");
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
