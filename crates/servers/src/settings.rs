//! PURE: the settings of a session that decide what a value reads as or prints as.
//!
//! A role or a database may carry settings of its own (`ALTER ROLE … SET`, `ALTER DATABASE … SET`), and each session
//! begins with them. A value must not depend on them, so a session of ours pins every setting that takes part in
//! reading or printing a value, or in what a statement of ours means. `pg_dump` and `postgres_fdw` pin a part of the
//! same list: the forms of times, the digits of floats, the literals, the search path.
//!
//! Left as they are, on purpose:
//!
//! - `search_path`: the SQL of a feed and the receiver's triggers name their tables by it. The product's own
//!   statements name schemas;
//! - `lc_numeric`, `lc_time`, `default_text_search_config`: no type reads or prints by them, only `to_char`,
//!   `to_number` and text search, where a feed's SQL or a trigger asks for it. `lc_messages` needs a superuser, and no
//!   decision is made by a message;
//! - `lc_monetary` at a source: it defines the number of decimals of that database's amounts (see [`Demand`]);
//! - `default_transaction_read_only` at a store: an administrator who sets it forbids writing, and the agent reports that;
//! - `check_function_bodies`, `default_tablespace`, `default_toast_compression`, `default_table_access_method`: nothing of ours makes
//!   functions, and where and how a table is kept changes no value.

/// A setting with the value that a session gets, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name at the server.
    pub name: &'static str,
    /// What it is set to.
    pub value: &'static str,
    /// What another value would do.
    pub why: &'static str,
}

const fn setting(name: &'static str, value: &'static str, why: &'static str) -> Setting {
    Setting { name, value, why }
}

/// What every session of a source and of a store pins.
pub const BOTH: &[Setting] = &[
    setting(
        "standard_conforming_strings",
        "on",
        "off reads a backslash in a literal as an escape",
    ),
    setting(
        "backslash_quote",
        "safe_encoding",
        "off refuses a literal that escapes a quote",
    ),
    setting(
        "escape_string_warning",
        "off",
        "on fills the server's log with warnings about literals of a feed's SQL",
    ),
    setting(
        "client_encoding",
        "UTF8",
        "another encoding changes or refuses characters",
    ),
    setting(
        "DateStyle",
        "ISO, YMD",
        "another style prints days in another order, and reads 01-02-03 as another day",
    ),
    setting(
        "IntervalStyle",
        "iso_8601",
        "another style prints intervals in another form, and sql_standard reads their signs otherwise",
    ),
    setting(
        "TimeZone",
        "UTC",
        "another zone prints instants in that zone, and reads times without a zone as its own",
    ),
    setting(
        "extra_float_digits",
        "1",
        "0 and below round floats to fewer digits than they have",
    ),
    setting("bytea_output", "hex", "escape prints bytes in another form"),
    setting(
        "array_nulls",
        "on",
        "off reads NULL in an array as the text 'NULL'",
    ),
    setting(
        "xmloption",
        "content",
        "document refuses XML with more or less than one root",
    ),
    setting(
        "xmlbinary",
        "base64",
        "hex prints bytes within XML in another form",
    ),
    setting(
        "transform_null_equals",
        "off",
        "on reads x = NULL as x IS NULL, which chooses other rows",
    ),
    setting(
        "quote_all_identifiers",
        "off",
        "on prints the names of types in quotes, which looks like another type",
    ),
    setting(
        "default_transaction_isolation",
        "read committed",
        "serializable ends statements with conflicts, and is refused by a standby",
    ),
    setting(
        "default_transaction_deferrable",
        "off",
        "on lets a statement wait for others",
    ),
    setting(
        "exit_on_error",
        "off",
        "on ends the session with the first row that is refused",
    ),
];

/// What only a source pins.
pub const SOURCE: &[Setting] = &[setting(
    "gin_fuzzy_search_limit",
    "0",
    "another number lets a GIN index leave rows out",
)];

/// What only a store pins.
pub const STORE: &[Setting] = &[setting(
    "lc_monetary",
    "C",
    "another locale reads the point of 12.30 in a column of money as a separator of thousands",
)];

/// A setting that only a superuser may change, and that a session must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Its name at the server.
    pub name: &'static str,
    /// What it has to be.
    pub value: &'static str,
    /// What another value does.
    pub why: &'static str,
}

/// What a source demands. A damaged page that reads as empty, or whose checksum is not compared, silently loses rows.
pub const DEMANDED_OF_SOURCE: &[Demand] = &[
    Demand {
        name: "zero_damaged_pages",
        value: "off",
        why: "rows of damaged pages would be missing without an error",
    },
    Demand {
        name: "ignore_checksum_failure",
        value: "off",
        why: "damaged rows would be read without an error",
    },
];

/// What a store demands.
pub const DEMANDED_OF_STORE: &[Demand] = &[Demand {
    name: "session_replication_role",
    value: "origin",
    why: "rows would be stored past the triggers and foreign keys of their tables",
}];

/// The statements that pin settings.
#[must_use]
pub fn pins<'a>(settings: impl IntoIterator<Item = &'a Setting>) -> String {
    let one = |setting: &Setting| format!("SET {} = '{}'; ", setting.name, setting.value);
    settings.into_iter().map(one).collect()
}

/// The same for the options of a connection: `-c name=value …`.
#[must_use]
pub fn options<'a>(settings: impl IntoIterator<Item = &'a Setting>) -> String {
    let escaped = |value: &str| value.replace(' ', "\\ ");
    let one = |setting: &Setting| format!("-c {}={} ", setting.name, escaped(setting.value));
    settings.into_iter().map(one).collect()
}

/// The query for those of the demanded settings that are otherwise: their names, as text.
#[must_use]
pub fn unmet(demanded: &[Demand]) -> String {
    let values: Vec<String> = demanded
        .iter()
        .map(|demand| format!("('{}', '{}')", demand.name, demand.value))
        .collect();
    format!(
        "SELECT d.name FROM (VALUES {}) AS d (name, value) WHERE pg_catalog.current_setting(d.name, true) <> d.value",
        values.join(", ")
    )
}

/// What an unmet demand is, and what to do about it.
#[must_use]
pub fn refusal(demanded: &[Demand], name: &str) -> (String, String) {
    let found = demanded.iter().find(|demand| demand.name == name);
    let (value, why) = found.map_or(("", ""), |demand| (demand.value, demand.why));
    (
        format!("{name} is not {value} for the account: {why}"),
        format!(
            "run ALTER ROLE … RESET {name} and ALTER DATABASE … RESET {name} as a superuser, or SET {name} = {value} in \
             postgresql.conf"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_pinned_once_each_with_a_reason() {
        for side in [SOURCE, STORE] {
            let mut names: Vec<&str> = BOTH.iter().chain(side).map(|one| one.name).collect();
            let many = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), many);
            assert!(BOTH.iter().chain(side).all(|one| one.why.len() > 10));
        }
        assert_eq!(pins(SOURCE), "SET gin_fuzzy_search_limit = '0'; ");
        let zone = setting("DateStyle", "ISO, YMD", "");
        assert_eq!(options([&zone]), "-c DateStyle=ISO,\\ YMD ");
    }

    #[test]
    fn settings_demand_names_the_setting_and_the_way_on() {
        let (what, remedy) = refusal(DEMANDED_OF_STORE, "session_replication_role");
        assert!(what.contains("session_replication_role is not origin") && what.contains("triggers"));
        assert!(remedy.contains("RESET session_replication_role"));
    }
}
