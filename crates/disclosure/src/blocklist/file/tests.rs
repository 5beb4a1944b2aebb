use proptest::prelude::*;
use schemas::sign::SigningKey;
use schemas::value::Value;

use super::*;

fn key() -> PersonKey {
    PersonKey::of(&SigningKey::generate()).unwrap()
}

fn faults(text: &str) -> Vec<(usize, LineErrorKind)> {
    let bad = read(text.as_bytes(), &key()).map(|list| list.len()).unwrap_err();
    bad.faults.iter().map(|fault| (fault.line, fault.what)).collect()
}

#[test]
fn blocklist_file_accepts_both_line_ends() {
    let key = key();
    for text in [
        "HDR,slacktide-blocklist,1,2026-01-31\nPSN,4711\nPSN,4712\nTRL,2\n",
        "\u{feff}HDR,slacktide-blocklist,1,2026-01-31\r\nPSN,4711\r\nPSN, 4712 \r\nTRL,2",
    ] {
        let list = read(text.as_bytes(), &key).unwrap();
        assert_eq!((list.len(), list.made), (2, jiff::civil::date(2026, 1, 31)));
        assert!(list.with_key(&key).unwrap().contains_value(Value::Text("4712")));
    }
    let none = read(b"HDR,slacktide-blocklist,1,2026-01-31\nTRL,0\n", &key).unwrap();
    assert!(none.is_empty());
    let twice = read(
        b"HDR,slacktide-blocklist,1,2026-01-31\nPSN,1\nPSN,1\nTRL,2\n",
        &key,
    );
    assert_eq!(twice.map(|list| list.len()), Ok(1));
}

#[test]
fn blocklist_file_error_names_the_line() {
    let header = "HDR,slacktide-blocklist,1,2026-01-31";
    assert_eq!(
        faults(""),
        [(1, LineErrorKind::Header), (1, LineErrorKind::NoTrailer)]
    );
    assert_eq!(
        faults(&format!("{header}\nPSN,1\n")),
        [(2, LineErrorKind::NoTrailer)]
    );
    assert_eq!(
        faults(&format!("{header}\nPSN,1\nTRL,2\n")),
        [(
            3,
            LineErrorKind::Count {
                declared: 2,
                found: 1
            }
        )]
    );
    assert_eq!(
        faults(&format!("{header}\nTRL,0\nPSN,1\n")),
        [(3, LineErrorKind::AfterTrailer)]
    );
    assert_eq!(
        faults("HDR,slacktide-blocklist,2,2026-01-31\nTRL,0"),
        [(1, LineErrorKind::Header)]
    );
    assert_eq!(
        faults("HDR,slacktide-blocklist,1,2026-02-31\nTRL,0"),
        [(1, LineErrorKind::Header)]
    );
    let odd = format!(
        "{header}\n\nPSN,\nPSN,1,2\npsn,3\nPSN,{}\nTRL,5\n",
        "9".repeat(65)
    );
    assert_eq!(
        faults(&odd),
        [
            (2, LineErrorKind::NoPerson),
            (3, LineErrorKind::Number),
            (4, LineErrorKind::Number),
            (5, LineErrorKind::NoPerson),
            (6, LineErrorKind::Number)
        ]
    );
    let bytes = [header.as_bytes(), b"\nPSN,\xff\nTRL,1\n"].concat();
    let bad = read(&bytes, &key()).unwrap_err();
    assert_eq!(
        bad.faults[0],
        LineError {
            line: 2,
            what: LineErrorKind::NotText
        }
    );
    assert_eq!(
        faults(&format!("{header}\nTRL,-0\n")),
        [(2, LineErrorKind::NoTrailer)]
    );
}

proptest! {
    /// A truncated, extended or changed file is rejected completely, and no message contains a number.
    #[test]
    fn blocklist_damaged_file_is_refused_without_numbers(
        persons in prop::collection::vec("7[0-9]{11}", 1..40),
        damage in 0_usize..5,
        at in any::<prop::sample::Index>(),
    ) {
        let mut lines = vec!["HDR,slacktide-blocklist,1,2026-01-31".to_owned()];
        lines.extend(persons.iter().map(|person| format!("PSN,{person}")));
        lines.push(format!("TRL,{}", persons.len()));
        let key = key();
        let whole = lines.join("\n");
        prop_assert!(read(whole.as_bytes(), &key).is_ok());
        let line = at.index(persons.len()) + 1;
        match damage {
            0 => { lines.remove(line); }
            1 => { let copy = lines[line].clone(); lines.insert(line, copy); }
            2 => lines[line] = lines[line].replacen("PSN,", "PSN;", 1),
            3 => lines.truncate(line),
            _ => { lines.pop(); }
        }
        let bad = read(lines.join("\n").as_bytes(), &key).unwrap_err();
        if damage == 2 {
            prop_assert_eq!(&bad.faults, &[LineError { line: line + 1, what: LineErrorKind::NoPerson }]);
        }
        let message = format!("{bad} {bad:?}");
        for person in &persons {
            prop_assert!(!message.contains(person.as_str()));
        }
    }

    #[test]
    fn blocklist_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, &key());
    }
}
