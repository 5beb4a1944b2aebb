//! The status page, metrics and health of the social agent.

use ::reporting::Publication;
use disclosure::hold::Holds;
use jiff::Timestamp;
use runtime::health::{Problem, Report};
use runtime::metrics::MetricsText;
use runtime::supervise::Supervisor;
use social::SocialView;
use social::hold::HoldWatch;
use tokio::sync::watch;

use super::super::status::agent_lanes::{self, AgentLanes};
use super::super::{agent, agent_metrics};
use crate::fullness::FullnessWatch;
use crate::never_idle;

/// The agent's page.
pub(super) struct Page {
    pub(super) view: SocialView,
    pub(super) started: Timestamp,
    pub(super) connection: watch::Receiver<exchange::Connection>,
    pub(super) holds: HoldWatch,
    pub(super) fullness: FullnessWatch,
    pub(super) supervisor: Supervisor,
    pub(super) lanes: AgentLanes,
    pub(super) publication: Publication,
}

impl Page {
    /// Returns the page without the lane states.
    fn own(&self) -> serde_json::Value {
        own_page(&self.view, &self.connection)
    }
}

/// Returns the page without the lane states.
pub(super) fn own_page(
    view: &SocialView,
    connection: &watch::Receiver<exchange::Connection>,
) -> serde_json::Value {
    let mut status = serde_json::to_value(view.status()).unwrap_or_default();
    if let Some(page) = status.as_object_mut() {
        let probes = serde_json::to_value(crate::probes::count()).unwrap_or_default();
        page.insert("probes".to_owned(), probes);
        page.insert("exchange".to_owned(), agent::exchange(connection));
    }
    status
}

impl Report for Page {
    fn status(&self) -> serde_json::Value {
        let mut page = self.own();
        let states = self.lanes.status_data(page.clone());
        if let Some(page) = page.as_object_mut() {
            page.insert("states".to_owned(), states);
            page.insert("published".to_owned(), agent::published(&self.publication));
        }
        page
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are floats; counts below 2^53 are exact"
    )]
    fn metrics(&self) -> String {
        let status = self.view.status();
        let mut text = MetricsText::new();
        agent_metrics::process("bureau", self.started, &mut text);
        status.gate.metrics(&mut text);
        let alarm = f64::from(u8::from(status.gate.alarm.is_some()));
        let help = "1 while the core has not been idle, or a feed not drained, for too long.";
        text.gauge("slacktide_gate_alarm", help, &[], alarm);
        for (name, feed) in &status.feeds {
            let undrained = never_idle::undrained(feed.caught_up_at, self.started, Timestamp::now());
            let help = "Time since the feed was last known drained: an upper bound of its lag.";
            let labels = [("feed", name.as_str())];
            text.gauge(
                "slacktide_feed_undrained_seconds",
                help,
                &labels,
                undrained.as_secs_f64(),
            );
        }
        let probes = crate::probes::count();
        let help = "Statements with which signals probed the core, whether the gate was open or not.";
        text.counter("slacktide_probes_total", help, &[], probes.probes as f64);
        let help = "Probes that failed or were late.";
        text.counter(
            "slacktide_probe_failures_total",
            help,
            &[],
            probes.failures as f64,
        );
        let help = "The slowest probe.";
        text.gauge(
            "slacktide_probe_max_seconds",
            help,
            &[],
            probes.max_us as f64 / 1e6,
        );
        text.gauge(
            "slacktide_lease_held",
            "1 while this process may read.",
            &[],
            f64::from(u8::from(status.lease.held)),
        );
        text.counter(
            "slacktide_driver_rows_total",
            "Rows that the database driver handed out.",
            &[],
            status.driver.rows as f64,
        );
        text.counter(
            "slacktide_driver_rows_while_closed_total",
            "Rows handed out while the gate was closed; must stay 0.",
            &[],
            status.driver.rows_while_closed as f64,
        );
        agent_metrics::social(&status, Timestamp::now(), &mut text);
        agent_metrics::connection(&agent::exchange(&self.connection), &mut text);
        agent_lanes::write_metrics(&self.lanes.judged(self.own()), &mut text);
        self.fullness.metrics(&mut text);
        self.publication.metrics(&mut text);
        traces::metrics::write(&mut text);
        text.finish()
    }

    fn live(&self) -> Result<(), Problem> {
        agent::live(&self.supervisor)
    }

    fn ready(&self) -> Result<(), Problem> {
        agent::connected(&self.connection)?;
        match &*self.holds.borrow() {
            Holds::Unread(why) => {
                return Err(format!("the operators' orders could not be read yet: {why}").into());
            }
            Holds::Behind(why) => return Err(why.clone().into()),
            Holds::Known(_) => {}
        }
        let feeds = self.view.status().feeds;
        match feeds
            .iter()
            .find(|(_, feed)| feed.state == social::status::WAITING_FOR_SOURCE)
        {
            Some((name, feed)) => {
                let why = feed.last_error.as_deref().unwrap_or("the source does not answer");
                Err(format!("feed {name} waits for the source: {why}").into())
            }
            None => Ok(()),
        }
    }

    fn healthy(&self) -> Result<(), Problem> {
        agent::check_accepted(&self.connection)?;
        let status = self.view.status();
        if let ("behind", Some(why)) = (status.orders.state, &status.orders.reason) {
            return Err(why.clone().into());
        }
        agent_lanes::check_health(&self.lanes.judged(self.own()))
    }
}
