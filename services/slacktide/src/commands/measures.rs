//! What the agents count, as metrics. docs/metrics.md lists every one of them, and a test compares.

use jiff::Timestamp;
use runtime::metrics::MetricsText;
use social::SocialStatus;

const UNVERIFIED: &str = "1 while \"caught up\" cannot be claimed: a check failed or could not be made.";

/// 1 or 0.
fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Which program this is, and since when it runs: a start that changes again and again is a process that ends.
pub(crate) fn process(side: &str, started: Timestamp, text: &mut MetricsText) {
    let help = "1; which side this is, and its version.";
    let labels = [("side", side), ("version", env!("CARGO_PKG_VERSION"))];
    text.gauge("slacktide_info", help, &labels, 1.0);
    let help = "When this process started, in Unix time.";
    let seconds = started.as_duration().as_secs_f64();
    text.gauge("slacktide_start_time_seconds", help, &[], seconds);
}

/// Whether the exchange is there, by the page's own word for it.
pub(crate) fn connection(exchange: &serde_json::Value, text: &mut MetricsText) {
    let is = exchange.get("state").and_then(serde_json::Value::as_str) == Some("connected");
    let help = "1 while this process has its connection to the exchange.";
    text.gauge("slacktide_exchange_connected", help, &[], flag(is));
}

fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}

/// Of the bureau's agent, by lane and by feed.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
pub(crate) fn social(status: &SocialStatus, now: Timestamp, text: &mut MetricsText) {
    let help = "1 while the orders at the exchange are behind what something signed names; nothing is published then.";
    let is_behind = status.orders.state == "behind";
    text.gauge("slacktide_orders_behind", help, &[], flag(is_behind));
    let help = "The number of the control record in force; 0 where there is none.";
    let number = status.orders.record.map_or(0, |record| record.number);
    text.gauge("slacktide_orders_record", help, &[], number as f64);
    type Of = fn(&social::status::LaneStatus) -> f64;
    let counters: [(&str, &str, Of); 6] = [
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
            "Rows that operators' holds and the block list kept back.",
            |lane| lane.withheld as f64,
        ),
        (
            "slacktide_lane_rejects_total",
            "Source rows that could not be carried.",
            |lane| lane.rejects as f64,
        ),
        (
            "slacktide_lane_adoptions_total",
            "Times that another publisher was faster, or the lane's end had to be read again.",
            |lane| lane.adoptions as f64,
        ),
    ];
    for (name, help, of) in counters {
        for (lane, one) in &status.lanes {
            text.counter(name, help, &[("lane", lane)], of(one));
        }
    }
    let gauges: [(&str, &str, Of); 6] = [
        (
            "slacktide_lane_stopped",
            "1 while an operator has to act.",
            |lane| flag(lane.stopped),
        ),
        (
            "slacktide_lane_receiver_stopped",
            "1 while the receiver's last receipt says that it has stopped the lane.",
            |lane| flag(lane.receiver_stopped.is_some()),
        ),
        (
            "slacktide_lane_held",
            "1 while an operator's hold keeps the lane from publishing.",
            |lane| flag(lane.held.is_some()),
        ),
        (
            "slacktide_lane_held_back_rows",
            "Rows that holds and the block list kept back and that have not followed since.",
            |lane| lane.held_back.values().map(|back| back.rows).sum::<u64>() as f64,
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
    for (name, help, of) in gauges {
        for (lane, one) in &status.lanes {
            text.gauge(name, help, &[("lane", lane)], of(one));
        }
    }
    let list = status.blocklist.as_ref();
    let help = "How many the block list that is in force names.";
    let persons = list.map_or(0, |list| list.persons);
    text.gauge("slacktide_blocklist_persons", help, &[], persons as f64);
    let help = "1 while the block list's file cannot be used, and everything that asks it is held.";
    let trouble = flag(list.is_some_and(|list| list.trouble.is_some()));
    text.gauge("slacktide_blocklist_trouble", help, &[], trouble);
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
        let is = !one.unverified.is_empty() || feed.is_some_and(|feed| !feed.unverified.is_empty());
        text.gauge(
            "slacktide_lane_unverified",
            UNVERIFIED,
            &[("lane", lane)],
            flag(is),
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
        let help = "1 while the feed stands still until an operator acts.";
        let is = one.state.starts_with("stopped");
        text.gauge("slacktide_feed_stopped", help, &[("feed", feed)], flag(is));
    }
    for (feed, one) in &status.feeds {
        let help = "1 while the source does not answer.";
        let is = one.state == social::status::WAITING_FOR_SOURCE;
        text.gauge("slacktide_feed_source_away", help, &[("feed", feed)], flag(is));
    }
    for (feed, one) in &status.feeds {
        let help = "1 while an open transaction has held the fence for longer than the margin.";
        let is = one.fence_held_by.is_some();
        text.gauge("slacktide_fence_held", help, &[("feed", feed)], flag(is));
    }
    answered(&status.requests.clone().unwrap_or_default(), now, text);
}

/// Outcomes of requests, by name: each is told, also before the first.
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
const OLDEST: &str = "Age of the oldest of them; 0 where none waits.";
const OUTCOME: &str = "Data requests that got this outcome.";
const TROUBLED: &str = "1 while answering or asking meets an error that is tried again.";

/// Data requests, as the bureau's agent answers them. One that answers none tells zeros.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
fn answered(status: &social::responder::RequestsStatus, now: Timestamp, text: &mut MetricsText) {
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
            "Of the waiting ones, those that a hold or the block list keeps.",
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
    let help = "Rows that the block list and holds kept out of answers.";
    text.counter(
        "slacktide_requests_withheld_rows_total",
        help,
        &[],
        status.withheld as f64,
    );
    text.gauge(
        "slacktide_requests_troubled",
        TROUBLED,
        &[],
        flag(status.last_error.is_some()),
    );
}

/// Data requests, as the insurer's agent files them. One that files none tells zeros.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
fn asked(status: &::commercial::requester::RequestsStatus, now: Timestamp, text: &mut MetricsText) {
    text.gauge("slacktide_requests_waiting", WAITING, &[], status.waiting as f64);
    text.gauge(
        "slacktide_requests_oldest_seconds",
        OLDEST,
        &[],
        age(status.oldest, now),
    );
    let help = "Of the waiting ones, those that are not at the exchange yet.";
    text.gauge("slacktide_requests_kept", help, &[], status.kept as f64);
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
            "Requests that the exchange does not take.",
            status.not_filed,
        ),
        (
            "slacktide_outbox_refused_total",
            "Rows of the outbox that make no valid request.",
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
    let help = "Answers that are not stored until somebody acts.";
    text.gauge(
        "slacktide_answers_refused",
        help,
        &[],
        status.refused.len() as f64,
    );
    let help =
        "1 while an answer is put off, because a key or a part of it is missing or the store refuses it.";
    text.gauge(
        "slacktide_answers_put_off",
        help,
        &[],
        flag(status.put_off.is_some()),
    );
    text.gauge(
        "slacktide_requests_troubled",
        TROUBLED,
        &[],
        flag(status.last_error.is_some()),
    );
}

/// Of the insurer's agent.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
pub(crate) fn commercial(status: &::commercial::CommercialStatus, now: Timestamp, text: &mut MetricsText) {
    type Of = fn(&::commercial::status::LaneStatus) -> f64;
    let help = "Time since the last tick of the interval; 0 before the first.";
    text.gauge(
        "slacktide_poll_age_seconds",
        help,
        &[],
        age(status.ticked_at, now),
    );
    let help = "1 while the store or the exchange refuses what the agent as a whole does; it is tried again.";
    let is = status.last_error.is_some();
    text.gauge("slacktide_poll_troubled", help, &[], flag(is));
    asked(&status.requests.clone().unwrap_or_default(), now, text);
    let help = "1 while settling fails; what it concerns is delivered again.";
    text.gauge("slacktide_unsettled", help, &[], flag(status.unsettled.is_some()));
    let counters: [(&str, &str, Of); 5] = [
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
            "Chunks that were delivered again after they were stored.",
            |lane| lane.already as f64,
        ),
        (
            "slacktide_superseded_total",
            "Chunks of a lost end of an epoch.",
            |lane| lane.superseded as f64,
        ),
    ];
    for (name, help, of) in counters {
        for (lane, one) in &status.lanes {
            text.counter(name, help, &[("lane", lane)], of(one));
        }
    }
    let gauges: [(&str, &str, Of); 9] = [
        ("slacktide_lane_unverified", UNVERIFIED, |lane| {
            flag(!lane.unverified.is_empty())
        }),
        (
            "slacktide_frontier",
            "Number below which all is stored.",
            |lane| lane.frontier as f64,
        ),
        (
            "slacktide_receipted",
            "The frontier as the last receipt says it.",
            |lane| lane.receipted as f64,
        ),
        (
            "slacktide_pending_chunks",
            "Chunks that wait for one before them.",
            |lane| lane.pending as f64,
        ),
        (
            "slacktide_lane_failures",
            "Transactions that failed in a row.",
            |lane| f64::from(lane.failures),
        ),
        (
            "slacktide_lane_waits_for_operator",
            "1 while a change of columns waits for an operator's word.",
            |lane| flag(lane.waits.is_some()),
        ),
        (
            "slacktide_lane_refused",
            "1 while names, tables or rights at the store do not allow to store the lane's chunks.",
            |lane| flag(lane.refused.is_some()),
        ),
        (
            "slacktide_lane_waits_for_key",
            "1 while chunks are sealed to a key that is not here.",
            |lane| flag(lane.waits_for_key.is_some()),
        ),
        (
            "slacktide_lane_stopped",
            "1 while an operator has to act.",
            |lane| flag(lane.stopped.is_some()),
        ),
    ];
    for (name, help, of) in gauges {
        for (lane, one) in &status.lanes {
            text.gauge(name, help, &[("lane", lane)], of(one));
        }
    }
}
