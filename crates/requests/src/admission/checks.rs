//! The rules that only need the request, each with its refusal.

use schemas::envelope::Payload as _;
use schemas::refusal::RefusalCode;
use schemas::request::{Request, RequestId};

use crate::approval::ApprovalState;
use crate::argument::{self, ArgumentError, Bound};
use crate::kind::{Grant, Kind};
use crate::refusal::Refusal;

use super::{ApprovalResult, FiledRequest, ONE_DAY, Rules};

/// Checks that the signed recipient and id are those of the subject. The exchange restricts the subject to the recipient's own
/// name, and a body must not widen that.
pub(super) fn check_identity(filed: &FiledRequest<'_>) -> Result<(), Refusal> {
    let request = filed.request;
    let why = if request.recipient != *filed.recipient || request.id != *filed.id {
        "it was filed under another name or id than it holds"
    } else if !request.id_matches_key() {
        "its id does not follow from its idempotency key"
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        RefusalCode::Malformed,
        format!("{why}; file it with the product's own tools"),
    ))
}

/// Checks that all characters of its texts are visible, because officers and operators decide by them.
pub(super) fn check_texts(request: &Request) -> Result<(), Refusal> {
    request
        .check_texts()
        .map_err(|error| Refusal::new(RefusalCode::Malformed, format!("{error}, and file it again")))
}

/// Checks that its day is within the retention and not in the future: such an id would never become too old.
pub(super) fn check_age(id: &RequestId, rules: &Rules<'_>) -> Result<(), Refusal> {
    let malformed = |why: &str| Err(Refusal::new(RefusalCode::Malformed, why));
    let Some(day) = id.day() else {
        return malformed("its id names no day");
    };
    let of = |at: jiff::Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).date();
    if day > of(rules.now.saturating_add(ONE_DAY).unwrap_or(rules.now)) {
        return malformed("its day is in the future; check the clock of the machine that filed it");
    }
    let kept = ONE_DAY
        .saturating_mul(rules.retention_days.max(0))
        .saturating_add(ONE_DAY);
    if day < of(rules.now.saturating_sub(kept).unwrap_or(jiff::Timestamp::MIN)) {
        let days = rules.retention_days;
        let why = format!(
            "its day is longer ago than the {days} days that the exchange keeps requests; file it again"
        );
        return Err(Refusal::new(RefusalCode::TooOld, why));
    }
    Ok(())
}

/// Checks that the legal basis allows the purpose.
pub(super) fn check_basis(request: &Request, grant: &Grant) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::new(RefusalCode::NoBasis, why));
    match grant.purposes.get(&request.purpose) {
        None => refuse("this kind is not granted to you for this purpose"),
        Some(bases) if bases.contains(&request.basis) => Ok(()),
        Some(_) => refuse("the legal basis does not allow this kind for this purpose"),
    }
}

pub(super) fn bind_arguments(request: &Request, kind: &Kind) -> Result<Vec<Bound>, Refusal> {
    let bound = argument::bind(&kind.config().arguments, &request.arguments).map_err(|error| bad(&error))?;
    // Checks here, before the core is used, that each has the format of its column.
    kind.source_arguments(&bound).map_err(|error| bad(&error))?;
    Ok(bound)
}

fn bad(error: &ArgumentError) -> Refusal {
    Refusal::new(RefusalCode::BadArgument, error.to_string())
}

/// Checks that the period is not reversed, and not longer than the kind allows.
pub(super) fn check_period(kind: &Kind, bound: &[Bound]) -> Result<(), Refusal> {
    let Some((begin, end)) = kind.period() else {
        return Ok(());
    };
    let length = match (bound.get(begin), bound.get(end)) {
        (Some(Bound::Date(from)), Some(Bound::Date(to))) => {
            // Both days count: from Monday to Monday is one day.
            to.duration_since(*from)
                .checked_add(ONE_DAY)
                .filter(|_| from <= to)
        }
        (Some(Bound::Timestamp(from)), Some(Bound::Timestamp(to))) => {
            Some(to.duration_since(*from)).filter(|_| from <= to)
        }
        _ => None,
    };
    let Some(length) = length else {
        let name = |place: usize| {
            kind.config()
                .arguments
                .get(place)
                .map_or("", |a| a.name.as_str())
                .to_owned()
        };
        return Err(bad(&ArgumentError::Backwards {
            begin: name(begin),
            end: name(end),
        }));
    };
    let longest = kind.config().max_period;
    match longest.filter(|longest| length.unsigned_abs() > longest.get()) {
        None => Ok(()),
        Some(longest) => Err(Refusal::new(
            RefusalCode::TooBroad,
            format!("the period is longer than {longest}; ask for it in several requests"),
        )),
    }
}

/// Converts the officers' decision, without their reasons, which are for the bureau's records.
pub(super) fn convert_approval(state: ApprovalState) -> ApprovalResult {
    match state {
        ApprovalState::Granted { by } => Ok(Ok(by)),
        ApprovalState::Pending { granted, needed } => Ok(Err((granted, needed))),
        ApprovalState::Refused { .. } => Err(Refusal::new(
            RefusalCode::NotApproved,
            "an officer of the bureau refused it; ask the bureau why",
        )),
        ApprovalState::TimedOut { granted, needed } => Err(Refusal::new(
            RefusalCode::NotApproved,
            format!("{granted} of {needed} officers granted it in time; ask the bureau, then file it again"),
        )),
    }
}
