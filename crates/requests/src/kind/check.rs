//! What a kind's configuration has to hold, with messages that say what to do.

use std::collections::BTreeSet;

use crate::approval::MOST_OFFICERS;
use crate::argument::{Argument, ArgumentType, End, StoredForm, time_zone};
use crate::mask::Mask;

use super::{Grant, KindConfig, SqlError};

/// A kind that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kind {kind:?}: {what}")]
pub struct KindError {
    /// Its name, as written.
    pub kind: String,
    /// What is wrong and what to do.
    pub what: String,
}

/// Characters of a name.
const MOST_NAME: usize = 64;

/// Arguments of a kind, at most.
const MOST_ARGUMENTS: usize = 100;

type Checked = Result<(), String>;

/// The error of a name that two kinds have.
pub(super) fn twice(kind: String) -> KindError {
    KindError {
        kind,
        what: "there are two kinds of this name: rename one".to_owned(),
    }
}

/// The form of each argument's column, where one is given.
pub(super) fn forms(config: &KindConfig) -> Result<Vec<Option<StoredForm>>, KindError> {
    let wrong = |what: String| KindError {
        kind: config.name.clone(),
        what,
    };
    let zone = config.zone.as_deref().map(time_zone).transpose().map_err(wrong)?;
    let form = |argument: &Argument| {
        let form = argument.form.as_deref();
        let form = form.map(|form| StoredForm::new(argument.kind, form, zone.as_ref()));
        form.transpose()
            .map_err(|what| wrong(format!("argument {:?}: {what}", argument.name)))
    };
    config.arguments.iter().map(form).collect()
}

/// Everything but what only the source can tell.
pub(super) fn check(config: &KindConfig) -> Result<(), KindError> {
    let checked = name(&config.name)
        .and_then(|()| arguments(&config.arguments))
        .and_then(|()| sql(config))
        .and_then(|()| limits(config))
        .and_then(|()| persons(config))
        .and_then(|()| grants(config));
    checked.map_err(|what| KindError {
        kind: config.name.chars().take(80).collect(),
        what,
    })
}

fn name(name: &str) -> Checked {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    };
    require(
        name.len() <= MOST_NAME && name.split('.').all(part),
        "its name is 1 to 64 of a-z, 0-9, '_', '-' and '.' between, with a letter first, such as setl.by_person",
    )
}

fn sql(config: &KindConfig) -> Checked {
    super::placeholder::check(&config.sql, config.arguments.len())
        .map_err(|error: SqlError| format!("sql: {error}"))
}

fn arguments(arguments: &[Argument]) -> Checked {
    require(
        arguments.len() <= MOST_ARGUMENTS,
        "it has more than 100 arguments",
    )?;
    unique(
        "arguments",
        arguments.iter().map(|argument| argument.name.as_str()),
    )?;
    for argument in arguments {
        one(argument).map_err(|what| {
            let name: String = argument.name.chars().take(80).collect();
            format!("argument {name:?}: {what}")
        })?;
    }
    period(arguments)
}

fn one(argument: &Argument) -> Checked {
    let name = &argument.name;
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    require(
        plain && name.len() <= MOST_NAME && name.starts_with(|c: char| c.is_ascii_lowercase()),
        "its name is 1 to 64 of a-z, 0-9 and '_', a letter first",
    )?;
    require(
        argument.max.is_none_or(|max| max > 0)
            && (argument.max.is_none() || argument.kind == ArgumentType::Text),
        "max is for texts, and at least 1",
    )?;
    require(
        argument.one_of.iter().all(|text| argument.takes(text)),
        &format!("a value in one_of is not {}", argument.kind.form()),
    )?;
    require(
        !argument.person || (argument.can_name() && !argument.optional),
        "a person is named by a text or an integer that may not be left out: else the block list could not be asked",
    )
}

fn period(arguments: &[Argument]) -> Checked {
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

fn limits(config: &KindConfig) -> Checked {
    require(config.most_rows > 0, "most_rows is at least 1")?;
    let has_period = config.arguments.iter().any(|argument| argument.period.is_some());
    require(
        config.longest_period.is_none() || has_period,
        "longest_period needs two arguments with period = \"begin\" and period = \"end\"",
    )?;
    require(
        config
            .longest_period
            .is_none_or(|longest| !longest.get().is_zero()),
        "longest_period is more than nothing",
    )?;
    let Some(rule) = &config.approval else {
        return Ok(());
    };
    require(
        (1..=MOST_OFFICERS).contains(&rule.officers),
        "approval.officers is 1 to 9; leave approval out where nobody has to grant",
    )?;
    let among = u32::try_from(rule.among.len()).unwrap_or(u32::MAX);
    require(
        among == 0 || among >= rule.officers,
        "approval.among names fewer officers than have to grant, so nothing could ever be granted",
    )
}

fn persons(config: &KindConfig) -> Checked {
    require(
        config.anonymous == config.person.is_empty(),
        "say which columns of the SQL name a person (person = [\"psn_no\"]), or anonymous = true where no row names anybody: \
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

fn grants(config: &KindConfig) -> Checked {
    unique(
        "recipients of grants",
        config.grant.iter().map(|grant| grant.recipient.as_str()),
    )?;
    for grant in &config.grant {
        one_grant(grant, &config.money).map_err(|what| format!("grant to {}: {what}", grant.recipient))?;
    }
    Ok(())
}

fn one_grant(grant: &Grant, money: &[String]) -> Checked {
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
        mask.check().map_err(|error| format!("masks.{column}: {error}"))?;
        require(
            *mask == Mask::Drop || !money.contains(column),
            &format!("masks.{column}: the sum of a money column is sent, so give it whole or drop it"),
        )?;
    }
    Ok(())
}

fn require(holds: bool, what: &str) -> Checked {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Checked {
    let mut seen = BTreeSet::new();
    for name in names {
        require(
            !name.is_empty() && seen.insert(name),
            &format!("{what}: {name:?} is empty or stands there twice"),
        )?;
    }
    Ok(())
}
