//! Commands about the control record.

use clap::{Args, Subcommand};
use schemas::heads::RecordRef;

use super::Config;
use super::decision::Decision;

/// The orders commands.
#[derive(Debug, Subcommand)]
pub(crate) enum OrdersCommand {
    /// Show the control record in force, its orders, and which records are lost.
    #[command(after_help = "Example:\n  slacktide orders show --config config/social.toml")]
    Show {
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Confirm the pauses and holds in force after the exchange was restored. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide orders confirm --record 3:9f86d0… --lost 5:60303a… --reason \"restored, hold 17 given again\" --config config/social.toml"
    )]
    Confirm(ConfirmArgs),
}

/// The arguments of `confirm`.
#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The record in force, NUMBER:DIGEST, as `orders show` prints it; `none` if there is none.
    #[arg(long, value_name = "RECORD", value_parser = record)]
    pub(crate) record: RecordName,
    /// The newest lost record. Default: the newest one that lanes, lease or the local file name.
    #[arg(long, value_name = "RECORD")]
    pub(crate) lost: Option<RecordRef>,
    #[command(flatten)]
    pub(crate) decision: Decision,
    /// Print the orders in force as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A record or `none`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordName(pub(crate) Option<RecordRef>);

/// An invalid name of a record.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadRecord(String);

fn record(text: &str) -> Result<RecordName, BadRecord> {
    if text == "none" {
        return Ok(RecordName(None));
    }
    let mark: Result<RecordRef, _> = text.parse();
    mark.map(|mark| RecordName(Some(mark)))
        .map_err(|error| BadRecord(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_record_is_a_number_with_its_digest_or_none() {
        let digest = "ab".repeat(32);
        let named = record(&format!("5:{digest}")).unwrap().0.unwrap();
        assert_eq!(named.to_string(), format!("5:{digest}"));
        assert!(record("none").unwrap().0.is_none());
        for wrong in ["5", "5:ab", "x:00", ""] {
            assert!(record(wrong).is_err(), "{wrong:?}");
        }
    }
}
