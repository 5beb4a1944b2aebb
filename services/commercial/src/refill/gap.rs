//! PURE: what the exchange does not keep any more, so that only the bureau can send it again.

use std::fmt;

use store::merge::Place;

/// Chunks that the exchange does not keep any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first of them, where it is known.
    pub from: Option<Place>,
    /// The first chunk behind them that is kept.
    pub until: Place,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.until;
        match self.from {
            Some(from) if from.epoch == until.epoch && from.number + 1 == until.number => {
                write!(f, "chunk {}.{}", from.epoch, from.number)
            }
            Some(from) if from.epoch == until.epoch => write!(
                f,
                "chunks {}.{} to {}.{}",
                from.epoch,
                from.number,
                until.epoch,
                until.number.saturating_sub(1)
            ),
            Some(from) => write!(
                f,
                "chunks from {}.{} up to before {}.{}",
                from.epoch, from.number, until.epoch, until.number
            ),
            None => write!(f, "every chunk before {}.{}", until.epoch, until.number),
        }
    }
}

/// PURE: what lies between what is needed and what is kept. `needed` is the first chunk that is needed, `first` the first one
/// that is kept; `opens_all` says that everything is sent again behind it.
#[must_use]
pub fn gap(needed: Option<Place>, first: Place, opens_all: bool) -> Option<Gap> {
    let is_missing = match needed {
        Some(needed) => first > needed && !opens_all,
        None => first != (Place { epoch: 1, number: 1 }) && !opens_all,
    };
    is_missing.then_some(Gap {
        from: needed,
        until: first,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(epoch: u32, number: u64) -> Place {
        Place { epoch, number }
    }

    #[test]
    fn gap_names_the_chunks_that_are_not_kept() {
        let words = |needed, first| gap(needed, first, false).map(|gap| gap.to_string());
        assert_eq!(words(Some(at(1, 4)), at(1, 4)), None);
        assert_eq!(words(Some(at(1, 4)), at(1, 2)), None);
        assert_eq!(words(Some(at(1, 4)), at(1, 5)).as_deref(), Some("chunk 1.4"));
        assert_eq!(
            words(Some(at(1, 4)), at(1, 9)).as_deref(),
            Some("chunks 1.4 to 1.8")
        );
        assert_eq!(
            words(Some(at(1, 4)), at(2, 3)).as_deref(),
            Some("chunks from 1.4 up to before 2.3")
        );
        assert_eq!(words(None, at(1, 1)), None);
        assert_eq!(words(None, at(1, 3)).as_deref(), Some("every chunk before 1.3"));
        // Behind an epoch that goes on from nothing everything comes again.
        assert_eq!(gap(Some(at(1, 4)), at(2, 1), true), None);
    }
}
