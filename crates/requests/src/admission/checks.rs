//! The rules that look at the request alone, each with the refusal that it makes.

use schemas::envelope::Payload as _;
use schemas::refusal::RefusalCode;
use schemas::request::{Request, RequestId};

use crate::approval::Standing;
use crate::argument::{self, BadArgument, Bound};
use crate::kind::{Grant, Kind};
use crate::refusal::Refusal;

use super::{A_DAY, Filed, Granted, Rules};

/// What was signed is what the subject says. The exchange lets a recipient write below its own name only,
/// and a body cannot widen that.
pub(super) fn names(filed: &Filed<'_>) -> Result<(), Refusal> {
    let request = filed.request;
    let why = if request.recipient != *filed.recipient || request.id != *filed.id {
        "it was filed under another name or id than it holds"
    } else if !request.keeps_its_key() {
        "its id does not follow from its idempotency key"
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        RefusalCode::Malformed,
        format!("{why}; file it with the product's own tools"),
    ))
}

/// Every character of its texts can be seen: officers and operators of the bureau decide by what they read.
pub(super) fn texts(request: &Request) -> Result<(), Refusal> {
    request
        .check_texts()
        .map_err(|error| Refusal::new(RefusalCode::Malformed, format!("{error}, and file it again")))
}

/// Its day lies within what the exchange retains, and not in the future: such an id would never grow too old.
pub(super) fn age(id: &RequestId, rules: &Rules<'_>) -> Result<(), Refusal> {
    let malformed = |why: &str| Err(Refusal::new(RefusalCode::Malformed, why));
    let Some(day) = id.day() else {
        return malformed("its id names no day");
    };
    let of = |at: jiff::Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).date();
    if day > of(rules.now.saturating_add(A_DAY).unwrap_or(rules.now)) {
        return malformed("its day lies in the future; check the clock of the machine that filed it");
    }
    let kept = A_DAY
        .saturating_mul(rules.retention_days.max(0))
        .saturating_add(A_DAY);
    if day < of(rules.now.saturating_sub(kept).unwrap_or(jiff::Timestamp::MIN)) {
        let days = rules.retention_days;
        let why = format!(
            "its day is longer ago than the {days} days that the exchange keeps requests; file it anew"
        );
        return Err(Refusal::new(RefusalCode::TooOld, why));
    }
    Ok(())
}

/// The basis allows this purpose.
pub(super) fn basis(request: &Request, grant: &Grant) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::new(RefusalCode::NoBasis, why));
    match grant.purposes.get(&request.purpose) {
        None => refuse("this kind is not granted to you for this purpose"),
        Some(bases) if bases.contains(&request.basis) => Ok(()),
        Some(_) => refuse("the legal basis does not allow this kind for this purpose"),
    }
}

/// Values for the kind's arguments.
pub(super) fn arguments(request: &Request, kind: &Kind) -> Result<Vec<Bound>, Refusal> {
    let bound = argument::bind(&kind.config().arguments, &request.arguments).map_err(|error| bad(&error))?;
    // Whether each has the form of the column that it is compared with is known here, and not at the core first.
    kind.sent(&bound).map_err(|error| bad(&error))?;
    Ok(bound)
}

fn bad(error: &BadArgument) -> Refusal {
    Refusal::new(RefusalCode::BadArgument, error.to_string())
}

/// The period runs forward, and is not longer than the kind allows.
pub(super) fn period(kind: &Kind, bound: &[Bound]) -> Result<(), Refusal> {
    let Some((begin, end)) = kind.period() else {
        return Ok(());
    };
    let length = match (bound.get(begin), bound.get(end)) {
        (Some(Bound::Date(from)), Some(Bound::Date(to))) => {
            // Both days count: from Monday to Monday is one day.
            to.duration_since(*from).checked_add(A_DAY).filter(|_| from <= to)
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
        return Err(bad(&BadArgument::Backwards {
            begin: name(begin),
            end: name(end),
        }));
    };
    let longest = kind.config().longest_period;
    match longest.filter(|longest| length.unsigned_abs() > longest.get()) {
        None => Ok(()),
        Some(longest) => Err(Refusal::new(
            RefusalCode::TooBroad,
            format!("the period is longer than {longest}; ask for it in several requests"),
        )),
    }
}

/// What officers said, without their words: those are for the bureau's records.
pub(super) fn approved(standing: Standing) -> Granted {
    match standing {
        Standing::Granted { by } => Ok(Ok(by)),
        Standing::Waits { granted, needed } => Ok(Err((granted, needed))),
        Standing::Refused { .. } => Err(Refusal::new(
            RefusalCode::NotApproved,
            "an officer of the bureau refused it; ask the bureau why",
        )),
        Standing::TooLate { granted, needed } => Err(Refusal::new(
            RefusalCode::NotApproved,
            format!("{granted} of {needed} officers granted it in time; ask the bureau, then file it again"),
        )),
    }
}
