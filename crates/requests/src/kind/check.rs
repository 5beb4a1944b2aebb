//! Validates a kind's configuration. Each message contains the remedy.

use std::collections::BTreeSet;

use crate::approval::MAX_OFFICERS;
use crate::argument::{Argument, ArgumentType, End, StoredFormat, time_zone};
use disclosure::mask::Mask;

use super::{Grant, KindConfig, SqlError};

/// An invalid kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kind {kind:?}: {what}")]
pub struct KindError {
    /// Its name, as configured.
    pub kind: String,
    /// The error with its remedy.
    pub what: String,
}

/// The greatest number of characters of a name.
const MAX_NAME_CHARS: usize = 64;

/// The greatest number of arguments of a kind.
const MAX_ARGUMENTS: usize = 100;

/// A rule that a kind's configuration breaks, with the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BrokenRule(String);

type CheckResult = Result<(), BrokenRule>;

/// Creates the error of two kinds with one name.
pub(super) fn duplicate_kind(kind: String) -> KindError {
    KindError {
        kind,
        what: "there are two kinds of this name: rename one".to_owned(),
    }
}

/// Returns the declared column format of each argument.
pub(super) fn formats(config: &KindConfig) -> Result<Vec<Option<StoredFormat>>, KindError> {
    let wrong = |what: String| KindError {
        kind: config.name.clone(),
        what,
    };
    let zone = config.zone.as_deref().map(time_zone).transpose();
    let zone = zone.map_err(|error| wrong(error.to_string()))?;
    let format = |argument: &Argument| {
        let format = argument.format.as_deref();
        let format = format.map(|format| StoredFormat::new(argument.kind, format, zone.as_ref()));
        format
            .transpose()
            .map_err(|error| wrong(format!("argument {:?}: {error}", argument.name)))
    };
    config.arguments.iter().map(format).collect()
}

/// Validates everything that does not need the source.
pub(super) fn check(config: &KindConfig) -> Result<(), KindError> {
    let checked = name(&config.name)
        .and_then(|()| arguments(&config.arguments))
        .and_then(|()| sql(config))
        .and_then(|()| limits(config))
        .and_then(|()| persons(config))
        .and_then(|()| grants(config));
    checked.map_err(|BrokenRule(what)| KindError {
        kind: config.name.chars().take(80).collect(),
        what,
    })
}

fn name(name: &str) -> CheckResult {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    };
    require(
        name.len() <= MAX_NAME_CHARS && name.split('.').all(part),
        "its name is 1 to 64 of a-z, 0-9, '_', '-' and '.' between, with a letter first, such as setl.by_person",
    )?;
    require(
        !::reconciliation::pass::is_reconciliation(name),
        "names that begin with reconcile. are of the kinds that reconcile feeds: give it another name",
    )
}

fn sql(config: &KindConfig) -> CheckResult {
    super::placeholder::check(&config.sql, config.arguments.len())
        .map_err(|error: SqlError| BrokenRule(format!("sql: {error}")))
}

fn arguments(arguments: &[Argument]) -> CheckResult {
    require(arguments.len() <= MAX_ARGUMENTS, "it has more than 100 arguments")?;
    unique(
        "arguments",
        arguments.iter().map(|argument| argument.name.as_str()),
    )?;
    for argument in arguments {
        one(argument).map_err(|what| {
            let name: String = argument.name.chars().take(80).collect();
            BrokenRule(format!("argument {name:?}: {what}"))
        })?;
    }
    period(arguments)
}

fn one(argument: &Argument) -> CheckResult {
    let name = &argument.name;
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    require(
        plain && name.len() <= MAX_NAME_CHARS && name.starts_with(|c: char| c.is_ascii_lowercase()),
        "its name is 1 to 64 of a-z, 0-9 and '_', a letter first",
    )?;
    require(
        argument.max.is_none_or(|max| max > 0)
            && (argument.max.is_none() || argument.kind == ArgumentType::Text),
        "max is for texts, and at least 1",
    )?;
    require(
        argument.one_of.iter().all(|text| argument.takes(text)),
        &format!("a value in one_of is not {}", argument.kind.format()),
    )?;
    require(
        !argument.person || (argument.can_name() && !argument.optional),
        "a person is named by a text or an integer that may not be left out: otherwise the block list cannot be applied",
    )
}

fn period(arguments: &[Argument]) -> CheckResult {
    let ends = |end| {
        arguments
            .iter()
            .filter(move |argument| argument.period == Some(end))
    };
    let (begin, end) = (ends(End::Begin).count(), ends(End::End).count());
    if (begin, end) == (0, 0) {
        return Ok(());
    }
    require(
        (begin, end) == (1, 1),
        "a period has one argument with period = \"begin\" and one with period = \"end\"",
    )?;
    let both = || ends(End::Begin).chain(ends(End::End));
    let timely = both().all(|a| matches!(a.kind, ArgumentType::Date | ArgumentType::Timestamp));
    let alike = ends(End::Begin)
        .zip(ends(End::End))
        .all(|(a, b)| a.kind == b.kind);
    require(
        timely && alike && both().all(|argument| !argument.optional),
        "both ends of a period are dates, or both are timestamps, and neither may be left out",
    )
}

fn limits(config: &KindConfig) -> CheckResult {
    require(config.max_rows > 0, "max_rows must be at least 1")?;
    let has_period = config.arguments.iter().any(|argument| argument.period.is_some());
    require(
        config.max_period.is_none() || has_period,
        "max_period needs two arguments with period = \"begin\" and period = \"end\"",
    )?;
    require(
        config.max_period.is_none_or(|longest| !longest.get().is_zero()),
        "max_period must be longer than 0",
    )?;
    let Some(rule) = &config.approval else {
        return Ok(());
    };
    require(
        (1..=MAX_OFFICERS).contains(&rule.officers),
        "approval.officers is 1 to 9; leave approval out if no approval is needed",
    )?;
    let among = u32::try_from(rule.among.len()).unwrap_or(u32::MAX);
    require(
        among == 0 || among >= rule.officers,
        "approval.among names fewer officers than have to grant, so nothing could ever be granted",
    )
}

fn persons(config: &KindConfig) -> CheckResult {
    require(
        config.anonymous == config.person.is_empty(),
        "name the columns of the SQL that name a person (person = [\"psn_no\"]), or anonymous = true if no row names a person: \
         the block list and holds of persons are applied to them",
    )?;
    require(
        !config.anonymous || config.arguments.iter().all(|argument| !argument.person),
        "it is anonymous, and an argument names a person: its rows are about that person, so name the column",
    )?;
    for (what, columns) in [
        ("order", &config.order),
        ("money", &config.money),
        ("person", &config.person),
    ] {
        unique(what, columns.iter().map(String::as_str))?;
    }
    unique("feeds", config.feeds.iter().map(schemas::name::FeedName::as_str))
}

fn grants(config: &KindConfig) -> CheckResult {
    unique(
        "recipients of grants",
        config.grant.iter().map(|grant| grant.recipient.as_str()),
    )?;
    for grant in &config.grant {
        one_grant(grant, &config.money)
            .map_err(|what| BrokenRule(format!("grant to {}: {what}", grant.recipient)))?;
    }
    Ok(())
}

fn one_grant(grant: &Grant, money: &[String]) -> CheckResult {
    require(!grant.columns.is_empty(), "name the columns that it gets")?;
    unique("columns", grant.columns.iter().map(String::as_str))?;
    let coded = |code: &String| !code.trim().is_empty();
    require(
        !grant.purposes.is_empty()
            && grant
                .purposes
                .iter()
                .all(|(purpose, bases)| coded(purpose) && !bases.is_empty() && bases.iter().all(coded)),
        "name its purposes, each with the legal bases that allow it: purposes = { \"01\" = [\"01\"] }",
    )?;
    for (column, mask) in &grant.masks {
        require(
            grant.columns.contains(column),
            &format!("masks.{column}: it does not get that column, so leave the mask out"),
        )?;
        mask.check()
            .map_err(|error| BrokenRule(format!("masks.{column}: {error}")))?;
        require(
            *mask == Mask::Drop || !money.contains(column),
            &format!("masks.{column}: the sum of a money column is sent, so give it whole or drop it"),
        )?;
    }
    Ok(())
}

fn require(holds: bool, what: &str) -> CheckResult {
    if holds {
        Ok(())
    } else {
        Err(BrokenRule(what.to_owned()))
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> CheckResult {
    let mut seen = BTreeSet::new();
    for name in names {
        require(
            !name.is_empty() && seen.insert(name),
            &format!("{what}: {name:?} is empty or occurs twice"),
        )?;
    }
    Ok(())
}
