//! Local times: whether the zone of columns without a zone has a constant offset.
//!
//! In the hour that is repeated in autumn, new rows get times that were already read. No fence prevents that, so a zone with such
//! changes is refused if a time fence is taken.

use gate::permit::Permit;
use jiff::tz::Offset;
use tokio_postgres::types::Type;

use super::catalogue::unexpected_result;
use super::session::SessionGuard;
use crate::error::{Result, refused};
use crate::instant::TimeEncoding;

/// One sample per week of the last year and the next two years.
const OFFSETS: &str = "SELECT DISTINCT (extract(epoch FROM (t AT TIME ZONE $1) - (t AT TIME ZONE 'UTC')))::int4 \
    FROM pg_catalog.generate_series(-52, 104) AS w(n), LATERAL (SELECT pg_catalog.now() + w.n * interval '7 days' AS t) x \
    ORDER BY 1";

/// Returns how a cursor of this type holds the time of the fence.
///
/// # Errors
/// `Refused` if it is a local time of a zone whose offset changes.
pub(super) async fn time_encoding(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    kind: &Type,
    zone: &str,
) -> Result<TimeEncoding> {
    Ok(match *kind {
        Type::TIMESTAMP => TimeEncoding::Local(constant_offset(locked, permit, zone).await?),
        Type::DATE => TimeEncoding::Day(constant_offset(locked, permit, zone).await?),
        _ => TimeEncoding::Instant,
    })
}

/// Returns the offset of a zone with a constant offset.
///
/// # Errors
/// `Refused` if the offset changes.
async fn constant_offset(locked: &mut SessionGuard<'_>, permit: &Permit, zone: &str) -> Result<Offset> {
    let zone = zone.to_owned();
    let rows = locked.query(permit, OFFSETS, &[(&zone, Type::TEXT)]).await?;
    let seconds: std::result::Result<Vec<i32>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    evaluate(&zone, &seconds.map_err(|error| unexpected_result(&error))?)
}

fn evaluate(zone: &str, seconds: &[i32]) -> Result<Offset> {
    match seconds {
        [only] => Offset::from_seconds(*only).map_err(|_| {
            refused(
                format!("the time zone {zone} has an unsupported offset"),
                "use a cursor column of type timestamptz",
            )
        }),
        _ => Err(refused(
            format!(
                "the cursor is a local time of {zone}, whose clocks are set back once a year: new rows of that hour would \
                 lie below what was read"
            ),
            "use a cursor column of type timestamptz; or declare cursor_set_by = \"application\" with a lag of more than \
             the hour that is repeated",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_that_changes_its_offset_is_refused() {
        assert_eq!(
            evaluate("Asia/Shanghai", &[28_800]).map(Offset::seconds).ok(),
            Some(28_800)
        );
        let error = evaluate("Europe/Berlin", &[3_600, 7_200])
            .err()
            .map(|error| error.what);
        assert!(error.is_some_and(|what| what.contains("Europe/Berlin")));
        assert!(evaluate("nowhere", &[]).is_err());
    }
}
