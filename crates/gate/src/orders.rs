//! Operators' orders, which bind the policy.
//!
//! Orders arrive over the exchange and survive restarts. A gate that has not read its orders stays closed, because it may
//! be paused.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

/// An order with its author, reason and end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActiveOrder {
    /// The person or program that gave it.
    pub actor: Arc<str>,
    /// The stated reason.
    pub reason: Arc<str>,
    /// When it expires; `None` if it lasts until an operator revokes it.
    pub until: Option<Timestamp>,
}

impl ActiveOrder {
    /// Whether the order is in force at this time.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl fmt::Display for ActiveOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.actor, self.reason)?;
        match self.until {
            Some(until) => write!(f, "; until {until})"),
            None => f.write_str("; until it is revoked)"),
        }
    }
}

/// All orders as last read. Expired orders have no effect.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Orders {
    /// Why the orders are not known yet, if so; the gate is closed until they are.
    pub unread: Option<Arc<str>>,
    /// The pause; no row is read while it is in force.
    pub pause: Option<ActiveOrder>,
    /// The maximum duty, above 0 and up to 1, and its order.
    pub max_duty: Option<(f64, ActiveOrder)>,
}

impl Orders {
    /// Returns the orders before the first read.
    #[must_use]
    pub fn unread(why: &str) -> Self {
        Self {
            unread: Some(why.into()),
            ..Self::default()
        }
    }

    /// Returns the pause in force.
    #[must_use]
    pub fn paused(&self, now: Timestamp) -> Option<&ActiveOrder> {
        self.pause.as_ref().filter(|order| order.holds(now))
    }

    /// Returns the duty limit in force.
    #[must_use]
    pub fn limited(&self, now: Timestamp) -> Option<(f64, &ActiveOrder)> {
        let (max_duty, order) = self.max_duty.as_ref()?;
        order.holds(now).then_some((*max_duty, order))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn order_expires_at_its_end() {
        let end = Timestamp::UNIX_EPOCH + Duration::from_secs(60);
        let order = ActiveOrder {
            actor: "li".into(),
            reason: "year end".into(),
            until: Some(end),
        };
        let orders = Orders {
            pause: Some(order.clone()),
            max_duty: Some((0.2, order)),
            ..Orders::default()
        };
        assert!(orders.paused(Timestamp::UNIX_EPOCH).is_some());
        assert!(
            orders
                .limited(Timestamp::UNIX_EPOCH)
                .is_some_and(|(max_duty, _)| max_duty < 0.3)
        );
        assert!(orders.paused(end).is_none() && orders.limited(end).is_none());
    }
}
