//! Persons about whom nothing is sent, and those who ask about them.

use std::fs;

use harness::until;
use serde_json::Value;

use super::office::{INSURERS, Office, PERSONS, states};
use crate::gates::BY_FILE;
use crate::path::site::PATIENCE;

const ROWS: u32 = 5_000;

/// Who withdrew; each person has ten claims.
const LISTED: [&str; 2] = ["p000007", "p000011"];

const ALL: [&str; 2] = ["amount=-1", "each=1"];

async fn import(office: &Office) {
    let lines: String = LISTED.iter().map(|person| format!("PSN,{person}\n")).collect();
    let text = format!(
        "HDR,slacktide-blocklist,1,2026-01-31\n{lines}TRL,{}\n",
        LISTED.len()
    );
    fs::write(office.file("withdrawn.csv"), text).unwrap();
    let (done, told) = office
        .command(&[
            "blocklist",
            "import",
            "--config",
            "bureau.toml",
            "--actor",
            "li_na",
            "--reason",
            "consents of January",
            "withdrawn.csv",
        ])
        .await;
    assert!(done, "{told}");
}

fn last<'a>(shown: &'a Value, key: &str) -> &'a Value {
    &shown["steps"].as_array().unwrap().last().unwrap()[key]
}

fn of(person: &str) -> [String; 3] {
    [
        format!("psn_no={person}"),
        "from=2026-01-01".to_owned(),
        "to=2026-12-31".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_the_list_is_in_no_answer_and_a_list_nobody_can_read_holds_all_requests() {
    let mut office = Office::start("blocked", ROWS, BY_FILE).await;
    office.more = "[blocklist]\npath = \"lists/blocklist\"\n".to_owned();
    fs::write(office.file("stop"), "").unwrap();
    office.write_social("bureau", harness::free_port());
    import(&office).await;
    let (social, commercial) = (
        office.bureau().await,
        office.commercial(INSURERS[0], "insurer-a-1"),
    );
    commercial
        .shows("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    let ask = async |person: &str| {
        let arguments = of(person);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        office.ask(INSURERS[0], "claim.by_person", &arguments, &[]).await
    };

    // Known to the list: refused under a shut gate, without a look at the core.
    let listed = ask(LISTED[0]).await;
    let shown = office.stands(INSURERS[0], &listed, "refused").await;
    let refused = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["state"] == "refused");
    assert_eq!(refused.unwrap()["code"], "blocked", "{shown}");
    assert_eq!(social.status().await.unwrap()["driver"]["statements"], 0);

    // Nobody can tell who is on it: held, though the gate is open and a feed moves.
    let list = office.file("lists/blocklist");
    let whole = fs::read(&list).unwrap();
    fs::write(&list, &whole[..whole.len() / 2]).unwrap();
    let held = async |id: &str| {
        let shown = office.stands(INSURERS[0], id, "held").await;
        let reason = last(&shown, "reason").as_str().unwrap().to_owned();
        assert!(reason.contains("block list"), "{shown}");
    };
    let unlisted = ask("p000008").await;
    // Once this one is held, the agent has seen what became of the list.
    held(&unlisted).await;
    let waiting = [unlisted, ask(LISTED[1]).await];
    held(&waiting[1]).await;
    fs::remove_file(office.file("stop")).unwrap();
    until("the feed at the store", PATIENCE, async || {
        let session = office.store.connect().await;
        let found = session.query_one("SELECT count(*) FROM claim", &[]).await;
        let found: i64 = found.map_err(|error| error.to_string())?.get(0);
        if found == i64::from(ROWS) {
            Ok(())
        } else {
            Err(format!("{found} rows"))
        }
    })
    .await;
    for id in &waiting {
        let shown = office.shown(INSURERS[0], id).await;
        assert_eq!(last(&shown, "state"), "held", "{shown}");
    }

    // Whole again: the one is answered, the other refused.
    fs::write(&list, &whole).unwrap();
    until("the list to be in force", PATIENCE, async || {
        let refused = office.shown(INSURERS[0], &waiting[1]).await;
        if states(&refused).contains(&"refused".to_owned()) {
            Ok(())
        } else {
            Err(refused.to_string())
        }
    })
    .await;
    office.stands(INSURERS[0], &waiting[0], "stored_by_insurer").await;

    // In an answer about everybody they are left out, and that is counted and told.
    let all = office.ask(INSURERS[0], "claim.over", &ALL, &[]).await;
    let shown = office.stands(INSURERS[0], &all, "stored_by_insurer").await;
    let withheld = LISTED.len() as u64 * u64::from(ROWS / PERSONS);
    assert_eq!(shown["withheld"], withheld, "{shown}");
    let config = format!("{}.toml", INSURERS[0]);
    for (verb, words) in [
        ("show", "20 rows are left out"),
        ("result", "4980 rows, and 20 left out"),
    ] {
        let (done, told) = office
            .command(&["request", verb, &all, "--config", &config])
            .await;
        assert!(done && told.contains(words), "{told}");
    }
    let stored = office.store.query("SELECT id FROM answer_claim__over").await;
    let persons: Vec<i64> = stored
        .iter()
        .map(|row| row.get::<_, i64>(0) % i64::from(PERSONS))
        .collect();
    assert_eq!(persons.len() as u64, u64::from(ROWS) - withheld);
    assert!(
        !persons.contains(&7) && !persons.contains(&11),
        "a person on the list"
    );

    // The bureau says nobody's number.
    let mut said = vec![social.process.stderr(), office.nats.log()];
    for page in ["/status", "/metrics"] {
        said.push(social.page(page).await.unwrap().body);
    }
    let (done, told) = office
        .command(&["blocklist", "show", "--config", "bureau.toml"])
        .await;
    assert!(done, "{told}");
    said.push(told);
    said.push(String::from_utf8_lossy(&fs::read(&list).unwrap()).into_owned());
    for text in said {
        assert!(!LISTED.iter().any(|person| text.contains(person)), "{text}");
    }
    social.stop().await;
    commercial.stop().await;
}
