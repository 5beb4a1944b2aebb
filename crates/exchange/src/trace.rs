//! The W3C trace context of a message (`traceparent`): which span of a trace made it.
//!
//! It travels next to the signed envelope, in a header, so that one trace can follow a message through every process. Anyone may have
//! written it: nothing is decided by it, and a malformed one is treated as missing.
//!
//! A transport writes the ambient context of the calling task, [`current`], so that no operation of the port has an argument
//! for it. What a transport reads is in [`crate::Stored`] and [`crate::Delivery`].

use std::fmt;
use std::future::Future;

/// The name of the header, in NATS messages and in HTTP.
pub const HEADER: &str = "traceparent";

/// The length of version 00: `00-` and 32 digits, `-` and 16 digits, `-` and 2 digits.
const LENGTH: usize = 55;

/// One span of one trace. Neither id is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    is_sampled: bool,
}

tokio::task_local! {
    static CURRENT: Option<TraceParent>;
}

/// Returns the context in which the current task works.
#[must_use]
pub fn current() -> Option<TraceParent> {
    CURRENT.try_with(|current| *current).ok().flatten()
}

/// Runs a future in a context: every message that it publishes carries it.
pub async fn within<F: Future>(context: Option<TraceParent>, work: F) -> F::Output {
    CURRENT.scope(context, work).await
}

impl TraceParent {
    /// Returns the context of a span, or `None` if an id is zero.
    #[must_use]
    pub const fn new(trace: u128, span: u64, is_sampled: bool) -> Option<Self> {
        if trace == 0 || span == 0 {
            return None;
        }
        Some(Self {
            trace,
            span,
            is_sampled,
        })
    }

    /// Reads a header, or returns `None` if it is malformed. A later version is read as far as this one goes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fixed = text.get(..LENGTH)?;
        let rest = text.get(LENGTH..)?;
        let mut parts = fixed.split('-');
        let version = parts.next().filter(|part| part.len() == 2)?;
        let trace = parts.next().filter(|part| part.len() == 32)?;
        let span = parts.next().filter(|part| part.len() == 16)?;
        let flags = parts.next().filter(|part| part.len() == 2)?;
        let is_extended = rest.is_empty() || (rest.starts_with('-') && version != "00");
        let is_lower_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_valid =
            version != "ff" && is_extended && [version, trace, span, flags].into_iter().all(is_lower_hex);
        if !is_valid {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok()?;
        let span = u64::from_str_radix(span, 16).ok()?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Self::new(trace, span, flags & 1 == 1)
    }

    /// Returns the id of the trace.
    #[must_use]
    pub const fn trace(self) -> u128 {
        self.trace
    }

    /// Returns the id of the span.
    #[must_use]
    pub const fn span(self) -> u64 {
        self.span
    }

    /// Returns whether the trace is recorded.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.is_sampled
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace,
            span,
            is_sampled,
        } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(*is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn trace_parent_is_read_back() {
        let parent = TraceParent::parse(EXAMPLE).unwrap();
        assert!(parent.is_sampled());
        assert_eq!(parent.to_string(), EXAMPLE);
        let later = format!("cc{}-what-follows", &EXAMPLE[2..]);
        assert_eq!(TraceParent::parse(&later), Some(parent));
        let unsampled = EXAMPLE.replace("-01", "-00");
        assert!(TraceParent::parse(&unsampled).is_some_and(|parent| !parent.is_sampled()));
    }

    #[test]
    fn trace_parent_malformed_is_missing() {
        let zero_trace = format!("00-{:032}-b7ad6b7169203331-01", 0);
        let zero_span = format!("00-0af7651916cd43dd8448eb211c80319c-{:016}-01", 0);
        for text in [
            "",
            "00",
            &zero_trace,
            &zero_span,
            &EXAMPLE.to_uppercase(),
            &EXAMPLE[..54],
            &format!("{EXAMPLE}-more"),
            &format!("ff{}", &EXAMPLE[2..]),
            &format!("cc{}x", &EXAMPLE[2..]),
            &EXAMPLE.replace("b7ad", "+7ad"),
            &EXAMPLE.replace('-', "_"),
            &"é".repeat(40),
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn trace_context_ends_with_its_future() {
        let parent = TraceParent::parse(EXAMPLE);
        assert_eq!(current(), None);
        assert_eq!(within(parent, async { current() }).await, parent);
        assert_eq!(current(), None);
    }
}
