//! Local times: whether the zone in which writers fill columns without one ever changes its offset.
//!
//! In the hour that is repeated in autumn, new rows get times that were read before. No fence helps, so a zone with
//! such changes is refused where a fence is taken by times.

use gate::permit::Permit;
use jiff::tz::Offset;
use tokio_postgres::types::Type;

use super::catalogue::odd;
use super::session::Turn;
use crate::error::{Result, refused};
use crate::instant::TimeForm;

/// Each week of the last year and of the next two.
const OFFSETS: &str = "SELECT DISTINCT (extract(epoch FROM (t AT TIME ZONE $1) - (t AT TIME ZONE 'UTC')))::int4 \
    FROM pg_catalog.generate_series(-52, 104) AS w(n), LATERAL (SELECT pg_catalog.now() + w.n * interval '7 days' AS t) x \
    ORDER BY 1";

/// How a cursor of this type holds the time by which the fence is taken.
///
/// # Errors
/// `Refused` where it is a local time of a zone that changes its offset.
pub(super) async fn time_form(
    turn: &mut Turn<'_>,
    permit: &Permit,
    kind: &Type,
    zone: &str,
) -> Result<TimeForm> {
    Ok(match *kind {
        Type::TIMESTAMP => TimeForm::Local(constant_offset(turn, permit, zone).await?),
        Type::DATE => TimeForm::Day(constant_offset(turn, permit, zone).await?),
        _ => TimeForm::Instant,
    })
}

/// The offset of a zone that does not change it.
///
/// # Errors
/// `Refused` where it changes.
async fn constant_offset(turn: &mut Turn<'_>, permit: &Permit, zone: &str) -> Result<Offset> {
    let zone = zone.to_owned();
    let rows = turn.query(permit, OFFSETS, &[(&zone, Type::TEXT)]).await?;
    let seconds: std::result::Result<Vec<i32>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    judge(&zone, &seconds.map_err(|error| odd(&error))?)
}

fn judge(zone: &str, seconds: &[i32]) -> Result<Offset> {
    match seconds {
        [only] => Offset::from_seconds(*only).map_err(|_| {
            refused(
                format!("the time zone {zone} has an offset that is not understood"),
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
            judge("Asia/Shanghai", &[28_800]).map(Offset::seconds).ok(),
            Some(28_800)
        );
        let error = judge("Europe/Berlin", &[3_600, 7_200])
            .err()
            .map(|error| error.what);
        assert!(error.is_some_and(|what| what.contains("Europe/Berlin")));
        assert!(judge("nowhere", &[]).is_err());
    }
}
