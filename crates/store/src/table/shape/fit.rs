//! What a chunk's columns ask of the tables.
//!
//! Both are gone through once, table by table and column by column: what follows by itself becomes steps, what
//! could lose a value becomes questions, and only when every question was accepted the steps are taken.

use schemas::column::{Column, RowSchema};

use super::known::{Aside, Shape};
use super::step::{Change, Step};
use crate::layout::{LaneTables, Layout, Mode, with_suffix};
use crate::merge::Place;
use crate::naming::{self, Refusal, folded};
use crate::table::asked::Asked;
use crate::table::lattice::{Widening, widened, widened_key};

/// What a chunk's columns are to the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// They have a place for each value.
    Fits,
    /// They have one after this.
    Change(Box<Change>),
    /// Somebody has to be asked.
    Asks(Vec<Asked>),
    /// It was accepted, and waits for the chunks before it.
    Waits,
    /// It is not stored until somebody acts.
    Never(Box<Refusal>),
}

/// Compares a chunk's columns with what is known. `frontier` is the last place below which
/// everything is stored.
#[must_use]
pub fn fit(
    shape: Option<&Shape>,
    given: &RowSchema,
    place: Place,
    tables: &LaneTables,
    frontier: Place,
) -> Fit {
    let named = naming::verdict(tables).and_then(|()| naming::columns(tables, shape, given));
    if let Err(refusal) = named {
        return Fit::Never(Box::new(refusal));
    }
    let layout = &tables.layout;
    let Some(shape) = shape else {
        return Fit::Change(Box::new(Change {
            shape: Shape::first(given, place, layout),
            steps: vec![Step::Make],
        }));
    };
    let mut work = Work {
        shape,
        tables,
        layout,
        place,
        later: shape.newest.is_none_or(|newest| place > newest),
        next: shape.clone(),
        steps: Vec::new(),
        asks: Vec::new(),
    };
    work.layout();
    work.columns(given);
    work.key(given);
    work.end(given, frontier)
}

struct Work<'a> {
    shape: &'a Shape,
    tables: &'a LaneTables,
    layout: &'a Layout,
    place: Place,
    later: bool,
    next: Shape,
    steps: Vec<Step>,
    asks: Vec<Asked>,
}

impl Work<'_> {
    fn layout(&mut self) {
        let wanted = self.layout;
        let Some(old) = &self.shape.layout else {
            // Made by an older version, which knew of one table with the feed's name.
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
            self.asks.push(Asked::Mode {
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

    fn columns(&mut self, given: &RowSchema) {
        for column in &given.columns {
            self.column(column, given.key.contains(&column.name));
        }
        if !self.later || self.shape.newest.is_none() {
            return;
        }
        for old in &self.shape.known.columns {
            if given.index_of(&old.name).is_none() && !self.shape.gone.contains(&old.name) {
                self.asks.push(Asked::Dropped {
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
        let aside = self.shape.aside_of(column, self.place).cloned();
        let old = match &aside {
            Some(aside) => &aside.kind,
            None => &self.shape.known.columns[known].kind,
        };
        let widening = if is_key {
            widened_key(old, &column.kind)
        } else {
            widened(old, &column.kind)
        };
        match widening {
            Widening::Alike | Widening::Narrower => {}
            Widening::Widen(to) => {
                self.steps.push(Step::Retype {
                    name: aside.as_ref().map_or(name, |aside| aside.name.clone()),
                    from: old.clone(),
                    to: to.clone(),
                });
                match aside {
                    Some(aside) => {
                        let same = self.next.aside.iter_mut().filter(|one| one.name == aside.name);
                        same.for_each(|one| one.kind = to.clone());
                    }
                    None => self.next.known.columns[known].kind = to,
                }
            }
            Widening::Refused if is_key => self.asks.push(Asked::KeyRetyped {
                column: column.name.clone(),
                old: old.clone(),
                new: column.kind.clone(),
            }),
            Widening::Refused => {
                self.asks.push(Asked::Retyped {
                    column: column.name.clone(),
                    old: old.clone(),
                    new: column.kind.clone(),
                });
                self.set_aside(column, &name, known);
            }
        }
    }

    /// What accepting another type does.
    fn set_aside(&mut self, column: &Column, name: &str, known: usize) {
        let suffix = format!("_before_{}_{}", self.place.epoch, self.place.number);
        let mut aside = Aside {
            column: column.name.clone(),
            kind: column.kind.clone(),
            name: self.free_name(name, &suffix),
            until: self.place,
        };
        if self.later {
            aside.kind = std::mem::replace(&mut self.next.known.columns[known].kind, column.kind.clone());
            self.steps.push(Step::Rename {
                from: name.to_owned(),
                to: aside.name.clone(),
            });
            self.steps.push(Step::Add(Column {
                name: name.to_owned(),
                ..column.clone()
            }));
        } else {
            // The newer type came first: what is older gets a column of its own.
            aside.until = self.shape.newest.unwrap_or(self.place);
            self.steps.push(Step::Add(Column {
                name: aside.name.clone(),
                ..column.clone()
            }));
        }
        self.next.aside.push(aside);
    }

    /// A name for a column that is set aside, which no other column of the tables has.
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

    fn key(&mut self, given: &RowSchema) {
        let known = &self.shape.known;
        if known.key != given.key {
            self.asks.push(Asked::Key {
                old: known.key.clone(),
                new: given.key.clone(),
            });
            return;
        }
        if known.tombstone == given.tombstone || !self.later {
            return;
        }
        if let Some(old) = known.tombstone.clone().filter(|_| self.shape.newest.is_some()) {
            self.asks.push(Asked::Tombstone {
                old,
                new: given.tombstone.clone(),
            });
        }
        self.next.known.tombstone.clone_from(&given.tombstone);
    }

    fn end(mut self, given: &RowSchema, frontier: Place) -> Fit {
        if !self.asks.iter().all(|asked| self.shape.accepted.contains(asked)) {
            return Fit::Asks(self.asks);
        }
        let is_of_key = |asked: &Asked| matches!(asked, Asked::Key { .. } | Asked::KeyRetyped { .. });
        if self.asks.iter().any(is_of_key) {
            if !self.later {
                let owner = &self.tables.owner;
                let what =
                    format!("{owner}: rows are identified by a key that the tables do not have any more");
                return Fit::Never(Box::new(Refusal {
                    shared: what.clone(),
                    what,
                    remedy: "ask the bureau to open a new epoch, which leaves the chunk behind".to_owned(),
                }));
            }
            let follows = Place {
                number: frontier.number.saturating_add(1),
                ..frontier
            };
            if self.place != follows {
                return Fit::Waits;
            }
            return Fit::Change(Box::new(Change {
                shape: Shape::first(given, self.place, self.layout),
                steps: vec![
                    Step::SetAside {
                        suffix: format!("_before_{}_{}", self.place.epoch, self.place.number),
                    },
                    Step::Make,
                ],
            }));
        }
        self.next.accepted.retain(|asked| !self.asks.contains(asked));
        if self.later && (self.next != *self.shape || (self.shape.newest.is_none() && self.has_all(given))) {
            self.next.newest = Some(self.place);
        }
        if self.next == *self.shape && self.steps.is_empty() {
            return Fit::Fits;
        }
        Fit::Change(Box::new(Change {
            shape: self.next,
            steps: self.steps,
        }))
    }

    fn has_all(&self, given: &RowSchema) -> bool {
        self.shape
            .known
            .columns
            .iter()
            .all(|column| given.index_of(&column.name).is_some())
    }
}
