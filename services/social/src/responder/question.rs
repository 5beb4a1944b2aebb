//! A kind as the question that the source is asked.

use requests::argument::{ArgumentType, StoredAs as Form};
use requests::kind::{Kind, Sent};
use source::{Argument, ArgumentKind, Question, StoredAs};

/// The question of a kind with these values: every argument with the type in which it is bound.
#[must_use]
pub fn question(kind: &Kind, sent: Vec<Sent>) -> Question {
    let config = kind.config();
    let arguments = config
        .arguments
        .iter()
        .zip(sent)
        .map(|(argument, sent)| Argument {
            name: argument.name.clone(),
            kind: match sent.kind {
                ArgumentType::Text => ArgumentKind::Text,
                ArgumentType::Integer => ArgumentKind::Integer,
                ArgumentType::Decimal => ArgumentKind::Decimal,
                ArgumentType::Date => ArgumentKind::Date,
                ArgumentType::Timestamp => ArgumentKind::Timestamp,
                ArgumentType::Boolean => ArgumentKind::Boolean,
            },
            value: sent.value,
            stored_as: sent.stored_as.map(|form| match form {
                Form::Text(glob) => StoredAs::Text(glob),
                Form::Integer(from, below) => StoredAs::Integer(from, below),
            }),
        });
    Question {
        name: config.name.clone(),
        sql: config.sql.clone(),
        arguments: arguments.collect(),
        order: config.order.clone(),
        money: config.money.clone(),
        types: config.types.clone(),
        zone: config.zone.clone(),
    }
}
