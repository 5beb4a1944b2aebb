//! Builds the source's query for a kind.

use requests::argument::{ArgumentType, StoredAs as Form};
use requests::kind::{Kind, SourceArgument};
use source::{Argument, ArgumentKind, RequestQuery, StoredAs};

/// Returns the query of a kind with these values, each with the type in which it is bound.
#[must_use]
pub fn request_query(kind: &Kind, sent: Vec<SourceArgument>) -> RequestQuery {
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
    RequestQuery {
        name: config.name.clone(),
        sql: config.sql.clone(),
        arguments: arguments.collect(),
        order: config.order.clone(),
        money: config.money.clone(),
        types: config.types.clone(),
        zone: config.zone.clone(),
    }
}
