//! What operators ordered: it binds the policy from outside.
//!
//! Orders come over the exchange and outlive restarts, so a gate whose orders were never read
//! stays shut: it might be paused.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

/// Who ordered it, why, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The person or program.
    pub actor: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// When it ends by itself; none: when somebody ends it.
    pub until: Option<Timestamp>,
}

impl Standing {
    /// Whether it is in force at this time.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.actor, self.reason)?;
        match self.until {
            Some(until) => write!(f, "; until {until})"),
            None => f.write_str("; until it is taken back)"),
        }
    }
}

/// All orders, as they were read last. Those whose time is over bind nobody.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Orders {
    /// Why the orders are not known yet, if so: then the gate is shut.
    pub unread: Option<Arc<str>>,
    /// Nothing is read while this holds.
    pub pause: Option<Standing>,
    /// At most this share of the time is worked while this holds, above 0 and up to 1.
    pub most: Option<(f64, Standing)>,
}

impl Orders {
    /// Before they were read the first time.
    #[must_use]
    pub fn unread(why: &str) -> Self {
        Self {
            unread: Some(why.into()),
            ..Self::default()
        }
    }

    /// The pause in force.
    #[must_use]
    pub fn paused(&self, now: Timestamp) -> Option<&Standing> {
        self.pause.as_ref().filter(|standing| standing.holds(now))
    }

    /// The limit in force.
    #[must_use]
    pub fn limited(&self, now: Timestamp) -> Option<(f64, &Standing)> {
        let (most, standing) = self.most.as_ref()?;
        standing.holds(now).then_some((*most, standing))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_order_ends_by_itself() {
        let end = Timestamp::UNIX_EPOCH + Duration::from_secs(60);
        let standing = Standing {
            actor: "li".into(),
            reason: "year end".into(),
            until: Some(end),
        };
        let orders = Orders {
            pause: Some(standing.clone()),
            most: Some((0.2, standing)),
            ..Orders::default()
        };
        assert!(orders.paused(Timestamp::UNIX_EPOCH).is_some());
        assert!(
            orders
                .limited(Timestamp::UNIX_EPOCH)
                .is_some_and(|(most, _)| most < 0.3)
        );
        assert!(orders.paused(end).is_none() && orders.limited(end).is_none());
    }
}
