//! What a log was told already.
//!
//! A fault that lasts is met again with every attempt. It is said when it begins and when it turns into another one,
//! not with each attempt; how often it was met is said when it is over.
//!
//! A fault that comes and goes is said twice, and then at longer and longer intervals for as long as it keeps coming back: what
//! alternates fills no log. The status shows each change all the same.

use std::time::{Duration, Instant};

/// Enough for the faults that one outage shows in turn.
const MOST: usize = 8;

/// How often a fault that came back is said at once.
const AT_ONCE: u32 = 2;

/// Between two sayings of one that keeps coming back; doubled with each.
const PAUSE: Duration = Duration::from_secs(60);

/// The longest of these pauses.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A fault that was not met for so long is new.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What was said, and what was met since all was well last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    faults: Vec<Fault>,
    /// Met since "over" was said last.
    met: u32,
    /// Something was said since then.
    is_open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    /// Without numbers.
    text: String,
    /// It was said, and was not over since.
    is_on: bool,
    times: u32,
    said_at: Instant,
    met_at: Instant,
}

impl Said {
    /// Notes a fault; whether it is news. Numbers in it (times, sequences) make no other fault of it.
    pub fn is_news(&mut self, what: &str) -> bool {
        self.is_news_at(what, Instant::now())
    }

    /// PURE: the same at a given time.
    pub fn is_news_at(&mut self, what: &str, now: Instant) -> bool {
        self.met = self.met.saturating_add(1);
        let since = |at: Instant| now.saturating_duration_since(at);
        self.faults
            .retain(|fault| fault.is_on || since(fault.met_at) < FORGOTTEN);
        let text: String = what.split(|sign: char| sign.is_ascii_digit()).collect();
        let is_full = self.faults.len() >= MOST;
        let is_news = match self.faults.iter_mut().find(|fault| fault.text == text) {
            Some(fault) => {
                fault.met_at = now;
                let is_due = fault.times < AT_ONCE || since(fault.said_at) >= pause(fault.times);
                let is_news = !fault.is_on && is_due;
                if is_news {
                    (fault.is_on, fault.said_at) = (true, now);
                    fault.times = fault.times.saturating_add(1);
                }
                is_news
            }
            None if is_full => false,
            None => {
                self.faults.push(Fault {
                    text,
                    is_on: true,
                    times: 1,
                    said_at: now,
                    met_at: now,
                });
                true
            }
        };
        self.is_open |= is_news;
        is_news
    }

    /// All is well: how often a fault was met, when one was said. One that came and went without being said is not over in the
    /// log either.
    pub fn over(&mut self) -> Option<u32> {
        for fault in &mut self.faults {
            fault.is_on = false;
        }
        std::mem::take(&mut self.is_open).then(|| std::mem::take(&mut self.met))
    }
}

/// How long a fault that was said so often is not said again.
fn pause(times: u32) -> Duration {
    let doubled = times.saturating_sub(AT_ONCE).min(16);
    PAUSE.saturating_mul(1 << doubled).min(LONGEST)
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

    #[test]
    fn fault_that_comes_and_goes_is_said_ever_more_seldom() {
        let (mut said, start) = (Said::default(), Instant::now());
        let (mut begun, mut over) = (Vec::new(), 0);
        // Every other second, for an hour.
        for second in (0..3_600).step_by(2) {
            if said.is_news_at("the source is away", start + Duration::from_secs(second)) {
                begun.push(second);
            }
            over += u32::from(said.over().is_some());
        }
        assert_eq!(begun, [0, 2, 62, 182, 422, 902, 1_862]);
        assert_eq!(over, 7);
    }

    #[test]
    fn fault_that_stays_after_it_came_back_is_said_in_the_end() {
        let (mut said, start) = (Said::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        for second in 0..10 {
            said.is_news_at("away", at(second));
            said.over();
        }
        let news = (10..200).filter(|second| said.is_news_at("away", at(*second)));
        assert_eq!(news.collect::<Vec<_>>(), [61]);
        assert_eq!(said.over(), Some(8 + 190));
        // Long after, it is another one.
        assert!(said.is_news_at("away", at(2_000)));
    }
}
