//! The metrics of the agents. docs/metrics.md lists all of them, and a test compares.

use jiff::Timestamp;
use runtime::metrics::MetricsText;
use social::SocialStatus;

const UNVERIFIED: &str = "1 while \"caught up\" cannot be claimed: a check failed or could not be made.";

/// 1 or 0.
fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// Side, version and start time. A start time that changes often shows a process that restarts.
pub(crate) fn process(side: &str, started: Timestamp, text: &mut MetricsText) {
    let help = "Always 1; side and version.";
    let labels = [("side", side), ("version", env!("CARGO_PKG_VERSION"))];
    text.gauge("slacktide_info", help, &labels, 1.0);
    let help = "When this process started, in Unix time.";
    let seconds = started.as_duration().as_secs_f64();
    text.gauge("slacktide_start_time_seconds", help, &[], seconds);
}

/// Whether the exchange is connected, by the page's state.
pub(crate) fn connection(exchange: &serde_json::Value, text: &mut MetricsText) {
    let value = exchange.get("state").and_then(serde_json::Value::as_str) == Some("connected");
    let help = "1 while this process has its connection to the exchange.";
    text.gauge("slacktide_exchange_connected", help, &[], flag(value));
}

fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}

/// The metrics of the bureau's agent.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
pub(crate) fn social(status: &SocialStatus, now: Timestamp, text: &mut MetricsText) {
    let help = "1 while the orders at the exchange are older than a signed message shows; nothing is published then.";
    let is_behind = status.orders.state == "behind";
    text.gauge("slacktide_orders_behind", help, &[], flag(is_behind));
    let help = "The number of the control record in force; 0 if there is none.";
    let number = status.orders.record.map_or(0, |record| record.number);
    text.gauge("slacktide_orders_record", help, &[], number as f64);
    type Value = fn(&social::status::LaneStatus) -> f64;
    let counters: [(&str, &str, Value); 6] = [
        ("slacktide_lane_rows_total", "Rows published.", |lane| {
            lane.rows as f64
        }),
        ("slacktide_lane_chunks_total", "Chunks published.", |lane| {
            lane.chunks as f64
        }),
        ("slacktide_lane_bytes_total", "Bytes published.", |lane| {
            lane.bytes as f64
        }),
        (
            "slacktide_lane_withheld_rows_total",
            "Rows that operators' holds and the block list withheld.",
            |lane| lane.withheld as f64,
        ),
        (
            "slacktide_lane_rejects_total",
            "Source rows that could not be published.",
            |lane| lane.rejects as f64,
        ),
        (
            "slacktide_lane_adoptions_total",
            "Times that another publisher was faster, or the lane's tail had to be read again.",
            |lane| lane.adoptions as f64,
        ),
    ];
    for (name, help, value) in counters {
        for (lane, status) in &status.lanes {
            text.counter(name, help, &[("lane", lane)], value(status));
        }
    }
    let gauges: [(&str, &str, Value); 6] = [
        (
            "slacktide_lane_stopped",
            "1 while an operator must act.",
            |lane| flag(lane.stopped),
        ),
        (
            "slacktide_lane_receiver_stopped",
            "1 while the receiver's last receipt reports that the lane is stopped.",
            |lane| flag(lane.receiver_stopped.is_some()),
        ),
        (
            "slacktide_lane_held",
            "1 while an operator's hold stops the lane.",
            |lane| flag(lane.held.is_some()),
        ),
        (
            "slacktide_lane_withheld_outstanding_rows",
            "Withheld rows that were not sent since.",
            |lane| {
                lane.outstanding
                    .values()
                    .map(|withheld| withheld.rows)
                    .sum::<u64>() as f64
            },
        ),
        ("slacktide_lane_epoch", "The epoch of the last chunk.", |lane| {
            f64::from(lane.epoch)
        }),
        (
            "slacktide_lane_number",
            "The number of the last chunk in its epoch.",
            |lane| lane.number as f64,
        ),
    ];
    for (name, help, value) in gauges {
        for (lane, status) in &status.lanes {
            text.gauge(name, help, &[("lane", lane)], value(status));
        }
    }
    let list = status.blocklist.as_ref();
    let help = "Number of persons on the block list in force.";
    let persons = list.map_or(0, |list| list.persons);
    text.gauge("slacktide_blocklist_persons", help, &[], persons as f64);
    let help = "1 while the block list's file cannot be used; everything that depends on it is held.";
    let failing = flag(list.is_some_and(|list| list.error.is_some()));
    text.gauge("slacktide_blocklist_failing", help, &[], failing);
    for (lane, one) in &status.lanes {
        let help = "Age of the oldest rows that were read and are not published yet.";
        let seconds = age(one.unpublished_since, now);
        text.gauge(
            "slacktide_lane_unpublished_seconds",
            help,
            &[("lane", lane)],
            seconds,
        );
    }
    for (lane, one) in &status.lanes {
        let feed = lane.split_once('.').and_then(|(_, feed)| status.feeds.get(feed));
        let value = !one.unverified.is_empty() || feed.is_some_and(|feed| !feed.unverified.is_empty());
        text.gauge(
            "slacktide_lane_unverified",
            UNVERIFIED,
            &[("lane", lane)],
            flag(value),
        );
    }
    for (feed, one) in &status.feeds {
        let help = "Rows read, for all recipients at once.";
        text.counter(
            "slacktide_feed_rows_read_total",
            help,
            &[("feed", feed)],
            one.rows_read as f64,
        );
    }
    for (feed, one) in &status.feeds {
        let help = "1 while the feed is stopped until an operator acts.";
        let value = one.state.starts_with("stopped");
        text.gauge("slacktide_feed_stopped", help, &[("feed", feed)], flag(value));
    }
    for (feed, one) in &status.feeds {
        let help = "1 while the source does not answer.";
        let value = one.state == social::status::WAITING_FOR_SOURCE;
        text.gauge(
            "slacktide_feed_source_unreachable",
            help,
            &[("feed", feed)],
            flag(value),
        );
    }
    for (feed, one) in &status.feeds {
        let help = "1 while an open transaction holds the fence for longer than the margin.";
        let value = one.fence_stalled_by.is_some();
        text.gauge("slacktide_fence_stalled", help, &[("feed", feed)], flag(value));
    }
    bureau_requests(&status.requests.clone().unwrap_or_default(), now, text);
}

/// Outcomes of requests. Each has a series, also before its first request.
const OUTCOMES: [&str; 7] = [
    "answered",
    "empty",
    "partial",
    "refused",
    "expired",
    "cancelled",
    "failed",
];

const WAITING: &str = "Data requests without an outcome.";
const OLDEST: &str = "Age of the oldest of them; 0 if none waits.";
const OUTCOME: &str = "Data requests that got this outcome.";
const FAILING: &str = "1 while processing of requests fails and is retried.";

/// Data requests at the bureau's agent; zeros if it answers none.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
fn bureau_requests(status: &social::responder::RequestsStatus, now: Timestamp, text: &mut MetricsText) {
    text.gauge("slacktide_requests_waiting", WAITING, &[], status.waiting as f64);
    text.gauge(
        "slacktide_requests_oldest_seconds",
        OLDEST,
        &[],
        age(status.oldest, now),
    );
    let gauges = [
        (
            "slacktide_requests_queued",
            "Of the waiting ones, those that may be answered.",
            status.queued,
        ),
        (
            "slacktide_requests_for_approval",
            "Of the waiting ones, those that wait for officers.",
            status.for_approval,
        ),
        (
            "slacktide_requests_held",
            "Of the waiting ones, those that are held.",
            status.held,
        ),
    ];
    for (name, help, value) in gauges {
        text.gauge(name, help, &[], value as f64);
    }
    for outcome in OUTCOMES {
        let count = status.outcomes.get(outcome).copied().unwrap_or(0);
        text.counter(
            "slacktide_requests_outcomes_total",
            OUTCOME,
            &[("outcome", outcome)],
            count as f64,
        );
    }
    let help = "Attempts to answer that failed.";
    text.counter(
        "slacktide_requests_failures_total",
        help,
        &[],
        status.failures as f64,
    );
    text.counter(
        "slacktide_requests_rows_total",
        "Rows in answers.",
        &[],
        status.rows as f64,
    );
    let help = "Rows that the block list and holds withheld from answers.";
    text.counter(
        "slacktide_requests_withheld_rows_total",
        help,
        &[],
        status.withheld as f64,
    );
    text.gauge(
        "slacktide_requests_failing",
        FAILING,
        &[],
        flag(status.last_error.is_some()),
    );
}

/// Data requests at the insurer's agent; zeros if it files none.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
fn insurer_requests(
    status: &::commercial::requester::RequestsStatus,
    now: Timestamp,
    text: &mut MetricsText,
) {
    text.gauge("slacktide_requests_waiting", WAITING, &[], status.waiting as f64);
    text.gauge(
        "slacktide_requests_oldest_seconds",
        OLDEST,
        &[],
        age(status.oldest, now),
    );
    let help = "Of the waiting ones, those that are not at the exchange yet.";
    text.gauge("slacktide_requests_unfiled", help, &[], status.kept as f64);
    for outcome in OUTCOMES {
        let count = status.outcomes.get(outcome).copied().unwrap_or(0);
        text.counter(
            "slacktide_requests_outcomes_total",
            OUTCOME,
            &[("outcome", outcome)],
            count as f64,
        );
    }
    let counters = [
        (
            "slacktide_requests_filed_total",
            "Requests that the exchange has stored.",
            status.filed,
        ),
        (
            "slacktide_requests_not_filed_total",
            "Requests that the exchange refused.",
            status.not_filed,
        ),
        (
            "slacktide_outbox_refused_total",
            "Rows of the outbox that are not valid requests.",
            status.unfit,
        ),
        (
            "slacktide_answer_rows_total",
            "Rows of answers that are stored.",
            status.rows,
        ),
        (
            "slacktide_answer_rows_quarantined_total",
            "Rows of answers that constraints of the store refused.",
            status.rows_quarantined,
        ),
    ];
    for (name, help, value) in counters {
        text.counter(name, help, &[], value as f64);
    }
    let help = "Answers that are not stored until an operator acts.";
    text.gauge(
        "slacktide_answers_refused",
        help,
        &[],
        status.refused.len() as f64,
    );
    let help = "1 while an answer is deferred: a key or a part is missing, or the store refuses it.";
    text.gauge(
        "slacktide_answers_deferred",
        help,
        &[],
        flag(status.deferred.is_some()),
    );
    text.gauge(
        "slacktide_requests_failing",
        FAILING,
        &[],
        flag(status.last_error.is_some()),
    );
}

/// The metrics of the insurer's agent.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
pub(crate) fn commercial(status: &::commercial::CommercialStatus, now: Timestamp, text: &mut MetricsText) {
    type Value = fn(&::commercial::status::LaneStatus) -> f64;
    let help = "Time since the last tick of the interval; 0 before the first.";
    text.gauge(
        "slacktide_poll_age_seconds",
        help,
        &[],
        age(status.ticked_at, now),
    );
    let help = "1 while the store or the exchange refuses work of the whole agent; it is retried.";
    let value = status.last_error.is_some();
    text.gauge("slacktide_poll_failing", help, &[], flag(value));
    insurer_requests(&status.requests.clone().unwrap_or_default(), now, text);
    let help = "1 while acking fails; the messages are redelivered.";
    text.gauge(
        "slacktide_ack_failing",
        help,
        &[],
        flag(status.unsettled.is_some()),
    );
    let counters: [(&str, &str, Value); 5] = [
        (
            "slacktide_stored_rows_total",
            "Rows stored by this process.",
            |lane| lane.rows as f64,
        ),
        (
            "slacktide_stored_chunks_total",
            "Chunks stored by this process.",
            |lane| lane.chunks as f64,
        ),
        (
            "slacktide_quarantined_rows_total",
            "Rows that the store's constraints refused.",
            |lane| lane.rows_quarantined as f64,
        ),
        (
            "slacktide_already_stored_total",
            "Chunks that were redelivered after they were stored.",
            |lane| lane.already as f64,
        ),
        (
            "slacktide_superseded_total",
            "Chunks of an epoch that were superseded by a new epoch.",
            |lane| lane.superseded as f64,
        ),
    ];
    for (name, help, value) in counters {
        for (lane, status) in &status.lanes {
            text.counter(name, help, &[("lane", lane)], value(status));
        }
    }
    let gauges: [(&str, &str, Value); 9] = [
        ("slacktide_lane_unverified", UNVERIFIED, |lane| {
            flag(!lane.unverified.is_empty())
        }),
        (
            "slacktide_frontier",
            "Number up to which everything is stored or in quarantine.",
            |lane| lane.frontier as f64,
        ),
        (
            "slacktide_receipted_frontier",
            "The frontier of the last receipt.",
            |lane| lane.receipted as f64,
        ),
        (
            "slacktide_pending_chunks",
            "Stored chunks that wait for a preceding one.",
            |lane| lane.pending as f64,
        ),
        (
            "slacktide_lane_failures",
            "Consecutive failed transactions.",
            |lane| f64::from(lane.failures),
        ),
        (
            "slacktide_lane_change_pending",
            "1 while a schema change waits for an operator's approval.",
            |lane| flag(lane.pending_change.is_some()),
        ),
        (
            "slacktide_lane_refused",
            "1 while names, tables or privileges at the store prevent storing the lane's chunks.",
            |lane| flag(lane.refused.is_some()),
        ),
        (
            "slacktide_lane_key_missing",
            "1 while chunks are encrypted to a key that is missing here.",
            |lane| flag(lane.missing_key.is_some()),
        ),
        (
            "slacktide_lane_stopped",
            "1 while an operator must act.",
            |lane| flag(lane.stopped.is_some()),
        ),
    ];
    for (name, help, value) in gauges {
        for (lane, status) in &status.lanes {
            text.gauge(name, help, &[("lane", lane)], value(status));
        }
    }
}
