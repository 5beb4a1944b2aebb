use crate::config::parsed::{error_of, parse};

#[test]
fn database_signals_are_off_by_default_and_valid_when_set() {
    let names = |text: &str| -> Vec<String> {
        let limits = parse(text).unwrap_or_default().limits().signals;
        limits
            .into_keys()
            .map(|name| name.to_string())
            .filter(|name| name.starts_with("db_") || name.starts_with("sql."))
            .collect()
    };
    assert!(names("").is_empty());
    assert_eq!(
        names(
            "[signals.database]\nactive = {}\ncanary = { stop = 2 }\nlock_waits = { enabled = false }\n[signals.sql.queue]\nsql = \"SELECT count(*) FROM q\"\nstop = 10\nresume = 5"
        ),
        ["db_active", "db_canary", "sql.queue"]
    );
}

/// Trap: a misspelt metric throttles permanently.
#[test]
fn database_signals_errors_name_the_key() {
    for (text, expected) in [
        ("[signals.database]\nactiv = {}", "`activ`"),
        ("[signals.database]\nactive = { stopp = 1 }", "`stopp`"),
        (
            "[signals.database]\nactive = { stop = 2 }",
            "gate.signals.database.active has stop 2, resume 4",
        ),
        (
            "[signals.database]\nactive = { stop = nan }",
            "gate.signals.database.active ",
        ),
        (
            "[signals.database]\nio_waits = { critical = 3 }",
            "gate.signals.database.io_waits has stop 4, resume 2, critical 3",
        ),
        (
            "[signals.database]\ncanary = { stop = 50 }",
            "gate.signals.database.canary.stop is 50",
        ),
        (
            "[signals.database]\ncanary = { sql = \"BEGIN\" }",
            "gate.signals.database.canary.sql is not a query",
        ),
        (
            "[signals.sql.queue]\nsql = \"SELECT 1;\"\nstop = 2\nresume = 1",
            "gate.signals.sql.NAME.sql of \"queue\" is not a query",
        ),
        (
            "[signals.sql.queue]\nsql = \"SELECT 1\"\nstop = 1\nresume = 1",
            "gate.signals.sql.NAME of \"queue\" has stop 1, resume 1",
        ),
        (
            "[signals.sql.\"a b\"]\nsql = \"SELECT 1\"\nstop = 2\nresume = 1",
            "gate.signals.sql has a signal \"a b\"",
        ),
    ] {
        let error = error_of(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}
