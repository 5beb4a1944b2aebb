//! PURE: what a log was told already.
//!
//! A fault that lasts is met again with every attempt. It is said when it begins and when it turns into another one,
//! not with each attempt; how often it was met is said when it is over.

/// Enough for the faults that one outage shows in turn.
const MOST: usize = 8;

/// What was said since all was well last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    texts: Vec<String>,
    met: u32,
}

impl Said {
    /// Notes a fault; whether it is news. Numbers in it (times, sequences) make no other fault of it.
    pub fn is_news(&mut self, what: &str) -> bool {
        self.met = self.met.saturating_add(1);
        let text: String = what.split(|sign: char| sign.is_ascii_digit()).collect();
        if self.texts.len() >= MOST || self.texts.contains(&text) {
            return false;
        }
        self.texts.push(text);
        true
    }

    /// All is well: how often a fault was met, when there was one.
    pub fn over(&mut self) -> Option<u32> {
        let met = std::mem::take(self).met;
        (met > 0).then_some(met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_news_once_until_it_is_over() {
        let mut said = Said::default();
        assert_eq!(said.over(), None);
        assert!(said.is_news("no connection since 08:00:01"));
        assert!(!said.is_news("no connection since 08:00:02"));
        assert!(said.is_news("permission denied"));
        assert!(!said.is_news("no connection since 08:00:03"));
        assert_eq!(said.over(), Some(4));
        assert_eq!(said.over(), None);
        assert!(said.is_news("permission denied"));
    }

    #[test]
    fn faults_without_end_of_ever_new_texts_are_bounded() {
        let mut said = Said::default();
        let news = (0..100_u8)
            .filter(|at| said.is_news(&"x".repeat(usize::from(*at))))
            .count();
        assert_eq!(news, MOST);
    }
}
