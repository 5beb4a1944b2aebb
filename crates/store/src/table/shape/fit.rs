//! Compares a chunk's columns with the tables.
//!
//! It compares table by table and column by column: a change that is followed becomes steps, a change that could lose
//! a value needs approval. The steps are taken only when every such change is approved.

use schemas::column::{Column, RowSchema};

use super::step::{Change, Step};
use super::stored_shape::{RetiredColumn, Shape};
use crate::chunk_number::ChunkNumber;
use crate::layout::{LaneTables, Layout, Mode, with_suffix};
use crate::naming::{self, folded};
use crate::refusal::Refusal;
use crate::table::column_names;
use crate::table::schema_change::SchemaChange;
use crate::table::type_widening::{Widening, widened, widened_key};

/// The result of comparing a chunk's columns with the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// The tables hold every value.
    Fits,
    /// The tables hold every value after this change.
    Change(Box<Change>),
    /// An operator must approve these changes.
    Asks(Vec<SchemaChange>),
    /// The change is approved and waits for the earlier chunks.
    Waits,
    /// The chunk is not stored until an operator acts.
    Never(Box<Refusal>),
}

/// Compares a chunk's columns with the known shape. Everything up to `frontier` is stored.
#[must_use]
pub fn fit(
    shape: Option<&Shape>,
    chunk_schema: &RowSchema,
    chunk_number: ChunkNumber,
    tables: &LaneTables,
    frontier: ChunkNumber,
) -> Fit {
    let named = naming::verdict(tables).and_then(|()| column_names::columns(tables, shape, chunk_schema));
    if let Err(refusal) = named {
        return Fit::Never(Box::new(refusal));
    }
    let layout = &tables.layout;
    let Some(shape) = shape else {
        return Fit::Change(Box::new(Change {
            shape: Shape::first(chunk_schema, chunk_number, layout),
            steps: vec![Step::Make],
        }));
    };
    let mut work = Work {
        shape,
        tables,
        layout,
        chunk_number,
        later: shape.newest.is_none_or(|newest| chunk_number > newest),
        next: shape.clone(),
        steps: Vec::new(),
        asks: Vec::new(),
    };
    work.layout();
    work.columns(chunk_schema);
    work.key(chunk_schema);
    work.end(chunk_schema, frontier)
}

struct Work<'a> {
    shape: &'a Shape,
    tables: &'a LaneTables,
    layout: &'a Layout,
    chunk_number: ChunkNumber,
    later: bool,
    next: Shape,
    steps: Vec<Step>,
    asks: Vec<SchemaChange>,
}

impl Work<'_> {
    fn layout(&mut self) {
        let wanted = self.layout;
        let Some(old) = &self.shape.layout else {
            // Created by an older version, which had one table with the feed's name.
            self.next.layout = Some(wanted.clone());
            if wanted.mode != Mode::Current {
                self.steps.push(Step::Make);
            }
            return;
        };
        if old == wanted {
            return;
        }
        if old.mode == Mode::History && wanted.mode.keeps_current() {
            self.asks.push(SchemaChange::Mode {
                old: old.mode,
                new: wanted.mode,
            });
        }
        let named = |layout: &Layout| Layout {
            mode: Mode::Both,
            ..layout.clone()
        };
        if named(old) != named(wanted) {
            self.steps.push(Step::Moved(old.clone()));
        }
        self.steps.push(Step::Make);
        self.next.layout = Some(wanted.clone());
    }

    fn columns(&mut self, chunk_schema: &RowSchema) {
        for column in &chunk_schema.columns {
            self.column(column, chunk_schema.key.contains(&column.name));
        }
        if !self.later || self.shape.newest.is_none() {
            return;
        }
        for old in &self.shape.known.columns {
            if chunk_schema.index_of(&old.name).is_none() && !self.shape.gone.contains(&old.name) {
                self.asks.push(SchemaChange::Dropped {
                    column: old.name.clone(),
                });
                self.next.gone.insert(old.name.clone());
            }
        }
    }

    fn column(&mut self, column: &Column, is_key: bool) {
        let name = self.layout.column(&column.name).to_owned();
        let Some(known) = self
            .shape
            .known
            .columns
            .iter()
            .position(|known| known.name == column.name)
        else {
            self.next.known.columns.push(column.clone());
            self.steps.push(Step::Add(Column {
                name,
                ..column.clone()
            }));
            if !self.later {
                self.next.gone.insert(column.name.clone());
            }
            return;
        };
        if self.later {
            self.next.gone.remove(&column.name);
        }
        let retired_columns = self.shape.retired_column(column, self.chunk_number).cloned();
        let old = match &retired_columns {
            Some(retired_columns) => &retired_columns.kind,
            None => &self.shape.known.columns[known].kind,
        };
        let widening = if is_key {
            widened_key(old, &column.kind)
        } else {
            widened(old, &column.kind)
        };
        match widening {
            Widening::Same | Widening::Narrower => {}
            Widening::Widen(to) => {
                self.steps.push(Step::Retype {
                    name: retired_columns
                        .as_ref()
                        .map_or(name, |retired_columns| retired_columns.name.clone()),
                    from: old.clone(),
                    to: to.clone(),
                });
                match retired_columns {
                    Some(retired_columns) => {
                        let same = self
                            .next
                            .retired_columns
                            .iter_mut()
                            .filter(|one| one.name == retired_columns.name);
                        same.for_each(|one| one.kind = to.clone());
                    }
                    None => self.next.known.columns[known].kind = to,
                }
            }
            Widening::Refused if is_key => self.asks.push(SchemaChange::KeyRetyped {
                column: column.name.clone(),
                old: old.clone(),
                new: column.kind.clone(),
            }),
            Widening::Refused => {
                self.asks.push(SchemaChange::Retyped {
                    column: column.name.clone(),
                    old: old.clone(),
                    new: column.kind.clone(),
                });
                self.retire_column(column, &name, known);
            }
        }
    }

    /// Applies an approved change of a type.
    fn retire_column(&mut self, column: &Column, name: &str, known: usize) {
        let suffix = format!("_before_{}_{}", self.chunk_number.epoch, self.chunk_number.number);
        let mut retired_columns = RetiredColumn {
            column: column.name.clone(),
            kind: column.kind.clone(),
            name: self.free_name(name, &suffix),
            until: self.chunk_number,
        };
        if self.later {
            retired_columns.kind =
                std::mem::replace(&mut self.next.known.columns[known].kind, column.kind.clone());
            self.steps.push(Step::Rename {
                from: name.to_owned(),
                to: retired_columns.name.clone(),
            });
            self.steps.push(Step::Add(Column {
                name: name.to_owned(),
                ..column.clone()
            }));
        } else {
            // The newer type arrived first: the older one gets its own column.
            retired_columns.until = self.shape.newest.unwrap_or(self.chunk_number);
            self.steps.push(Step::Add(Column {
                name: retired_columns.name.clone(),
                ..column.clone()
            }));
        }
        self.next.retired_columns.push(retired_columns);
    }

    /// Returns a name for a retired column that no other column of the tables has.
    fn free_name(&self, name: &str, suffix: &str) -> String {
        let fold = |name: &str| folded(self.tables.database, name);
        let taken: Vec<String> = self
            .next
            .columns(self.layout)
            .iter()
            .map(|column| fold(&column.name))
            .collect();
        let mut free = with_suffix(name, suffix);
        let mut tries = 1_u32;
        while taken.contains(&fold(&free)) {
            tries += 1;
            free = with_suffix(name, &format!("{suffix}_{tries}"));
        }
        free
    }

    fn key(&mut self, chunk_schema: &RowSchema) {
        let known = &self.shape.known;
        if known.key != chunk_schema.key {
            self.asks.push(SchemaChange::Key {
                old: known.key.clone(),
                new: chunk_schema.key.clone(),
            });
            return;
        }
        if known.tombstone == chunk_schema.tombstone || !self.later {
            return;
        }
        if let Some(old) = known.tombstone.clone().filter(|_| self.shape.newest.is_some()) {
            self.asks.push(SchemaChange::Tombstone {
                old,
                new: chunk_schema.tombstone.clone(),
            });
        }
        self.next.known.tombstone.clone_from(&chunk_schema.tombstone);
    }

    fn end(mut self, chunk_schema: &RowSchema, frontier: ChunkNumber) -> Fit {
        if !self
            .asks
            .iter()
            .all(|change| self.shape.accepted.contains(change))
        {
            return Fit::Asks(self.asks);
        }
        let is_of_key = |change: &SchemaChange| {
            matches!(change, SchemaChange::Key { .. } | SchemaChange::KeyRetyped { .. })
        };
        if self.asks.iter().any(is_of_key) {
            if !self.later {
                let owner = &self.tables.owner;
                let what = format!("{owner}: rows are identified by a key that the tables no longer have");
                return Fit::Never(Box::new(Refusal {
                    shared: what.clone(),
                    what,
                    remedy: "ask the bureau to open a new epoch, which leaves the chunk behind".to_owned(),
                }));
            }
            let follows = ChunkNumber {
                number: frontier.number.saturating_add(1),
                ..frontier
            };
            if self.chunk_number != follows {
                return Fit::Waits;
            }
            return Fit::Change(Box::new(Change {
                shape: Shape::first(chunk_schema, self.chunk_number, self.layout),
                steps: vec![
                    Step::SetAside {
                        suffix: format!("_before_{}_{}", self.chunk_number.epoch, self.chunk_number.number),
                    },
                    Step::Make,
                ],
            }));
        }
        self.next.accepted.retain(|change| !self.asks.contains(change));
        if self.later
            && (self.next != *self.shape || (self.shape.newest.is_none() && self.has_all(chunk_schema)))
        {
            self.next.newest = Some(self.chunk_number);
        }
        if self.next == *self.shape && self.steps.is_empty() {
            return Fit::Fits;
        }
        Fit::Change(Box::new(Change {
            shape: self.next,
            steps: self.steps,
        }))
    }

    fn has_all(&self, chunk_schema: &RowSchema) -> bool {
        self.shape
            .known
            .columns
            .iter()
            .all(|column| chunk_schema.index_of(&column.name).is_some())
    }
}
