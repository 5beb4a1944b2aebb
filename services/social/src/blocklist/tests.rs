//! The list with real files.

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

/// Replaces the file like an import.
fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, bytes).unwrap();
    std::fs::rename(&temporary, path).unwrap();
}

fn names(list: &ListWatch, key: &PersonKey, person: &str) -> bool {
    list.borrow()
        .with_key(key)
        .unwrap()
        .contains_value(Value::Text(person))
}

#[test]
fn blocklist_unreadable_at_start_is_an_error() {
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
fn blocklist_imported_form_needs_its_key_and_names_no_one() {
    let (folder, [key, other]) = (tempfile::tempdir().unwrap(), [key(), key()]);
    let path = folder.path().join("blocklist");
    let list = parse(text(&["31010004711", "31010004712"]).as_bytes(), &key).unwrap();
    let kept = serde_json::to_vec(&list).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("31010004711"));
    std::fs::write(&path, &kept).unwrap();
    assert_eq!(read(&path, &key), Ok(list));
    let error = read(&path, &other).unwrap_err();
    assert!(matches!(error, BlockListError::KeyMismatch { .. }), "{error}");
    // Truncated anywhere, it is refused.
    for end in (1..kept.len()).step_by(7) {
        assert!(parse(&kept[..end], &key).is_err(), "{end} bytes passed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocklist_new_file_applies_in_5_s_and_damage_holds() {
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
    // Removed or truncated: neither the previous list nor an empty one is used.
    for damage in [
        Some("HDR,slacktide-blocklist,1,2026-01-31\nPSN,4713\n"),
        None,
        Some(""),
    ] {
        let before = status.borrow().error.clone();
        match damage {
            Some(text) => replace(&path, text),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let other = status.wait_for(|status| status.error.is_some() && status.error != before);
        let shown = tokio::time::timeout(within, other)
            .await
            .unwrap()
            .unwrap()
            .clone();
        let error = shown.error.unwrap();
        assert!(error.contains("no request is answered"), "{error}");
        assert_eq!(
            list.borrow_and_update().with_key(&key).unwrap_err().to_string(),
            error
        );
        assert_eq!(shown.persons, 1);
    }
    replace(&path, text(&["4712"]));
    let whole = status.wait_for(|status| status.error.is_none());
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
fn blocklist_empty_names_no_one() {
    let key = key();
    let list = empty(&key);
    assert!(list.borrow().is_empty() && list.borrow().with_key(&key).is_ok());
}
