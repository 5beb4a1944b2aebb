//! Persons on the block list, and requests about them.

use std::fs;

use harness::until;
use serde_json::Value;

use super::request_site::{INSURERS, PERSONS, RequestSite, states};
use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::DEADLINE;

const ROWS: u32 = 5_000;

/// The listed persons; each has ten claims.
const LISTED: [&str; 2] = ["p000007", "p000011"];

const ALL: [&str; 2] = ["amount=-1", "each=1"];

async fn import(request_site: &RequestSite) {
    let lines: String = LISTED.iter().map(|person| format!("PSN,{person}\n")).collect();
    let text = format!(
        "HDR,slacktide-blocklist,1,2026-01-31\n{lines}TRL,{}\n",
        LISTED.len()
    );
    fs::write(request_site.file("withdrawn.csv"), text).unwrap();
    let (done, output) = request_site
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
    assert!(done, "{output}");
}

fn last<'a>(shown: &'a Value, key: &str) -> &'a Value {
    &shown["steps"].as_array().unwrap().last().unwrap()[key]
}

fn person_arguments(person: &str) -> [String; 3] {
    [
        format!("psn_no={person}"),
        "from=2026-01-01".to_owned(),
        "to=2026-12-31".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn blocklist_person_is_in_no_answer_and_unreadable_list_stops() {
    let mut request_site = RequestSite::start("blocked", ROWS, STOP_FILE_GATE).await;
    request_site.more = "[blocklist]\npath = \"lists/blocklist\"\n".to_owned();
    fs::write(request_site.file("stop"), "").unwrap();
    request_site.write_social("bureau", harness::free_port());
    import(&request_site).await;
    let (social, commercial) = (
        request_site.bureau().await,
        request_site.commercial(INSURERS[0], "insurer-a-1"),
    );
    commercial
        .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    let ask = async |person: &str| {
        let arguments = person_arguments(person);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        request_site
            .ask(INSURERS[0], "claim.by_person", &arguments, &[])
            .await
    };

    // The person is on the list: refused under a closed gate, without a read of the core.
    let listed = ask(LISTED[0]).await;
    let shown = request_site.wait_state(INSURERS[0], &listed, "refused").await;
    let refused = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["state"] == "refused");
    assert_eq!(refused.unwrap()["code"], "blocked", "{shown}");
    assert_eq!(social.status().await.unwrap()["driver"]["statements"], 0);

    // The list is unreadable: requests are held, although the gate is open and a feed is read.
    let list = request_site.file("lists/blocklist");
    let whole = fs::read(&list).unwrap();
    fs::write(&list, &whole[..whole.len() / 2]).unwrap();
    let held = async |id: &str| {
        let shown = request_site.wait_state(INSURERS[0], id, "held").await;
        let reason = last(&shown, "reason").as_str().unwrap().to_owned();
        assert!(reason.contains("block list"), "{shown}");
    };
    let unlisted = ask("p000008").await;
    // Once this request is held, the agent has read the list.
    held(&unlisted).await;
    let waiting = [unlisted, ask(LISTED[1]).await];
    held(&waiting[1]).await;
    fs::remove_file(request_site.file("stop")).unwrap();
    until("the feed at the store", DEADLINE, async || {
        let session = request_site.store.connect().await;
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
        let shown = request_site.show_request(INSURERS[0], id).await;
        assert_eq!(last(&shown, "state"), "held", "{shown}");
    }

    // The list is whole again: one request is answered, the other refused.
    fs::write(&list, &whole).unwrap();
    until("the list to be in force", DEADLINE, async || {
        let refused = request_site.show_request(INSURERS[0], &waiting[1]).await;
        if states(&refused).contains(&"refused".to_owned()) {
            Ok(())
        } else {
            Err(refused.to_string())
        }
    })
    .await;
    request_site
        .wait_state(INSURERS[0], &waiting[0], "stored_by_insurer")
        .await;

    // An answer about all persons leaves them out; they are counted and the count is shown.
    let all = request_site.ask(INSURERS[0], "claim.over", &ALL, &[]).await;
    let shown = request_site
        .wait_state(INSURERS[0], &all, "stored_by_insurer")
        .await;
    let withheld = LISTED.len() as u64 * u64::from(ROWS / PERSONS);
    assert_eq!(shown["withheld"], withheld, "{shown}");
    let config = format!("{}.toml", INSURERS[0]);
    for (verb, words) in [("show", "20 rows withheld"), ("result", "4980 rows, 20 withheld")] {
        let (done, output) = request_site
            .command(&["request", verb, &all, "--config", &config])
            .await;
        assert!(done && output.contains(words), "{output}");
    }
    let stored = request_site
        .store
        .query("SELECT id FROM answer_claim__over")
        .await;
    let persons: Vec<i64> = stored
        .iter()
        .map(|row| row.get::<_, i64>(0) % i64::from(PERSONS))
        .collect();
    assert_eq!(persons.len() as u64, u64::from(ROWS) - withheld);
    assert!(
        !persons.contains(&7) && !persons.contains(&11),
        "a person on the list"
    );

    // The bureau does not name a person's number.
    let mut texts = vec![social.process.stderr(), request_site.nats.log()];
    for page in ["/status", "/metrics"] {
        texts.push(social.page(page).await.unwrap().body);
    }
    let (done, output) = request_site
        .command(&["blocklist", "show", "--config", "bureau.toml"])
        .await;
    assert!(done, "{output}");
    texts.push(output);
    texts.push(String::from_utf8_lossy(&fs::read(&list).unwrap()).into_owned());
    for text in texts {
        assert!(!LISTED.iter().any(|person| text.contains(person)), "{text}");
    }
    social.stop().await;
    commercial.stop().await;
}
