//! The list over real files, in time that the test moves.

use std::path::Path;
use std::time::Duration;

use schemas::sign::SigningKey;
use schemas::value::Value;
use tokio_util::sync::CancellationToken;

use super::*;

fn key() -> Arc<PersonKey> {
    Arc::new(PersonKey::of(&SigningKey::generate()).unwrap())
}

fn text(persons: &[&str]) -> String {
    let lines: String = persons.iter().map(|person| format!("PSN,{person}\n")).collect();
    format!(
        "HDR,slacktide-blocklist,1,2026-01-31\n{lines}TRL,{}\n",
        persons.len()
    )
}

/// As an import does it.
fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, bytes).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

fn names(list: &ListWatch, key: &PersonKey, person: &str) -> bool {
    list.borrow().under(key).unwrap().names(Value::Text(person))
}

#[test]
fn a_list_that_cannot_be_read_keeps_the_agent_from_starting() {
    let (folder, key) = (tempfile::tempdir().unwrap(), key());
    let path = folder.path().join("blocklist");
    let start = || Keeper::start(path.clone(), Arc::clone(&key)).map(|_| ());
    assert!(matches!(start(), Err(BlockListError::Unreadable { .. })));
    std::fs::write(&path, "HDR,slacktide-blocklist,1,2026-01-31\nPSN,31010004711\n").unwrap();
    let error = start().unwrap_err();
    assert!(matches!(error, BlockListError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("cut short"), "{error}");
    assert!(!format!("{error:?}").contains("31010004711"));
    std::fs::write(&path, "{\"made\":\"2026-01-31\",\"persons\":[31010004711]}").unwrap();
    let error = start().unwrap_err();
    assert!(matches!(error, BlockListError::Damaged { .. }), "{error}");
    assert!(!format!("{error:?} {error}").contains("31010004711"), "{error}");
    assert!(matches!(
        Keeper::start(folder.path().to_owned(), Arc::clone(&key)).map(|_| ()),
        Err(BlockListError::Unreadable { .. })
    ));
}

#[test]
fn the_kept_form_holds_nobody_and_reads_under_its_own_key_alone() {
    let (folder, [key, other]) = (tempfile::tempdir().unwrap(), [key(), key()]);
    let path = folder.path().join("blocklist");
    let list = parse(text(&["31010004711", "31010004712"]).as_bytes(), &key).unwrap();
    let kept = serde_json::to_vec(&list).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("31010004711"));
    std::fs::write(&path, &kept).unwrap();
    assert_eq!(read(&path, &key), Ok(list));
    let error = read(&path, &other).unwrap_err();
    assert!(matches!(error, BlockListError::OtherKey { .. }), "{error}");
    // Cut anywhere, nothing of it is taken.
    for end in (1..kept.len()).step_by(7) {
        assert!(parse(&kept[..end], &key).is_err(), "{end} bytes passed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_replaced_is_in_force_within_5_s_and_a_damaged_one_answers_nothing() {
    let (folder, key) = (tempfile::tempdir().unwrap(), key());
    let path = folder.path().join("blocklist");
    std::fs::write(&path, text(&["4711"])).unwrap();
    let keeper = Keeper::start(path.clone(), Arc::clone(&key)).unwrap();
    let (mut list, mut status, stop) = (keeper.list(), keeper.status(), CancellationToken::new());
    let running = tokio::spawn(keeper.run(stop.clone()));
    assert!(names(&list, &key, "4711") && !names(&list, &key, "4712"));
    let within = Duration::from_secs(5);
    // The same length, perhaps within one tick of the clock.
    replace(&path, text(&["4712"]));
    tokio::time::timeout(within, list.changed())
        .await
        .unwrap()
        .unwrap();
    assert!(!names(&list, &key, "4711") && names(&list, &key, "4712"));
    // Gone or cut short: neither the list before nor an empty one is asked.
    for damage in [
        Some("HDR,slacktide-blocklist,1,2026-01-31\nPSN,4713\n"),
        None,
        Some(""),
    ] {
        let before = status.borrow().trouble.clone();
        match damage {
            Some(text) => replace(&path, text),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let other = status.wait_for(|status| status.trouble.is_some() && status.trouble != before);
        let told = tokio::time::timeout(within, other)
            .await
            .unwrap()
            .unwrap()
            .clone();
        let trouble = told.trouble.unwrap();
        assert!(trouble.contains("no request answered"), "{trouble}");
        assert_eq!(
            list.borrow_and_update().under(&key).unwrap_err().to_string(),
            trouble
        );
        assert_eq!(told.persons, 1);
    }
    replace(&path, text(&["4712"]));
    let whole = status.wait_for(|status| status.trouble.is_none());
    tokio::time::timeout(within, whole).await.unwrap().unwrap();
    assert!(names(&list, &key, "4712") && list.has_changed().unwrap());
    list.mark_unchanged();
    replace(&path, text(&["4712", "4714"]));
    tokio::time::timeout(within, list.changed())
        .await
        .unwrap()
        .unwrap();
    assert!(names(&list, &key, "4714"));
    stop.cancel();
    running.await.unwrap();
}

#[test]
fn nobody_is_on_the_list_of_an_agent_that_has_none() {
    let key = key();
    let list = nobody(&key);
    assert!(list.borrow().is_empty() && list.borrow().under(&key).is_ok());
}
