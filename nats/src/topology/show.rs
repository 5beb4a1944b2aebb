//! A plan as a person reads it: `+` is made, `~` changes, `!` changes only with force, `?` is left alone.

use std::fmt;

use super::diff::{Kind, Object, Plan, plain};

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream { stream } => write!(f, "stream {stream}"),
            Self::Consumer { stream, consumer } => write!(f, "consumer {consumer} of {stream}"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            let sign = match change.kind {
                Kind::Create => '+',
                Kind::Update => '~',
                Kind::Destructive => '!',
            };
            writeln!(f, "{sign} {}", change.object)?;
            for field in &change.fields {
                match change.kind {
                    Kind::Create if plain(&field.to).is_none() => {}
                    Kind::Create => writeln!(f, "    {} = {}", field.name, field.to)?,
                    _ => writeln!(f, "    {} = {} -> {}", field.name, field.from, field.to)?,
                }
                if let Some(danger) = &field.danger {
                    writeln!(f, "      destructive: {danger}")?;
                }
            }
        }
        for object in &self.unlisted {
            writeln!(f, "? {object} is in no file; left alone")?;
        }
        if self.changes.is_empty() {
            writeln!(f, "the exchange matches the files")?;
        }
        Ok(())
    }
}
