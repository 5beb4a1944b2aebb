//! PURE: what is known of an agent: whether its report is verified and current, and the time of the evidence.

use crate::context::Context;
use crate::facts::{Report, Signature};
use crate::html::{Badge, Level, Time};

/// The evidence of an agent's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Verified and current, or why not.
    pub badge: Badge,
    /// The same as a value of `data-state`.
    pub state: &'static str,
    /// What to do.
    pub detail: String,
    /// When the report was made.
    pub at: Time,
}

/// Returns the evidence of a report.
#[must_use]
pub fn evidence(report: &Report, context: &Context) -> Evidence {
    let texts = context.texts;
    let (level, key, state, detail) = match &report.signature {
        Signature::Refused(error) => (Level::Alarm, "report.refused", "refused", error.clone()),
        _ if report.is_overdue(context.now) => {
            let detail = texts.get("report.overdue_detail").to_owned();
            (Level::Alarm, "report.overdue", "overdue", detail)
        }
        Signature::NoKey => {
            let detail = texts.get("report.unverified_detail").to_owned();
            (Level::Unknown, "report.unverified", "unverified", detail)
        }
        Signature::Verified => (Level::Good, "report.current", "current", String::new()),
    };
    Evidence {
        badge: Badge::new(level, texts.get(key)),
        state,
        detail,
        at: context.time(report.evidence_at()),
    }
}
