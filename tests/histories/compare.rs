//! Waits until the product is idle, and compares core and store: they are equal, or the difference is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use commercial::receipts::last;
use exchange::FeedExchange;
use exchange::port::Stream;
use schemas::chunk::read_untrusted;
use social::status::FeedStatus;
use store::Store;

use super::site::{Agents, Site};
use super::table::{CoreRow, RowKey, Standing};

/// Deadline of the test; the duration itself is not asserted.
const DEADLINE: Duration = Duration::from_secs(120);

/// Quanta of the feed after which every earlier commit has been read: more than the lag.
const QUANTA: u64 = 10;

const TICKS: u64 = 4;

/// A chunk that is unacknowledged after this long was taken by a store that lost it.
const UNSIGNED: Duration = Duration::from_secs(2);

/// Keys whose changes the feed cannot see without a resynchronisation, as in docs/operate.md: hard deletes, and changes that
/// its cursor does not show.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    now: BTreeSet<RowKey>,
    /// Those that the last ordered resynchronisation covers.
    ordered: BTreeSet<RowKey>,
}

impl Unseen {
    pub(super) fn note(&mut self, key: RowKey) {
        self.now.insert(key);
    }

    /// Records that a resynchronisation is ordered.
    pub(super) fn resync_ordered(&mut self) {
        self.ordered.append(&mut self.now);
    }

    fn still_holds(&self, key: &RowKey) -> bool {
        self.now.contains(key) || self.ordered.contains(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.now.is_empty() && self.ordered.is_empty()
    }
}

/// The codes that the product shows for the lane, with their texts.
pub(super) type Shown = BTreeMap<&'static str, String>;

/// Codes under which single rows may differ; under every other code the whole lane may differ.
const OF_ROWS: [&str; 2] = ["future_rows", "cursor_formats"];

impl Site {
    /// Replaces the processes, waits until they are idle, and compares core and store.
    ///
    /// # Errors
    /// A difference that no code explains.
    pub(super) async fn compare(&mut self, unseen: &mut Unseen) -> Result<Shown, String> {
        self.restart().await;
        let shown_codes = self.wait_idle().await;
        let (core, store) = (self.core(), self.store());
        let (core, store) = (self.table.core_rows(&core), self.table.store_rows(&store));
        let is_resynchronised =
            !shown_codes.contains_key("resync_under_way") && !shown_codes.contains_key("resync_incomplete");
        if is_resynchronised && !is_halted(&shown_codes) {
            unseen.ordered.clear();
        }
        let differing = differing(&core, &store);
        let unnamed: Vec<String> = differing
            .iter()
            .filter(|key| !is_named(core.get(*key), &shown_codes, unseen.still_holds(key)))
            .map(|key| format!("{key}: core {:?}, store {:?}", core.get(key), store.get(key)))
            .collect();
        if unnamed.is_empty() {
            Ok(shown_codes)
        } else {
            Err(format!(
                "shown {shown_codes:?}, and unnamed: {}",
                unnamed.join("; ")
            ))
        }
    }

    /// Returns whether core and store hold the same rows.
    pub(super) fn differing_keys(&self) -> Vec<RowKey> {
        let (core, store) = (self.core(), self.store());
        differing(&self.table.core_rows(&core), &self.table.store_rows(&store))
    }

    /// Waits until everything is read, stored and acknowledged, or until the reason why not is shown.
    async fn wait_idle(&self) -> Shown {
        let agents = self.agents.as_ref().unwrap();
        let begun = Instant::now();
        let mut still: Option<(String, Instant, u64, u64)> = None;
        loop {
            let progress = self.progress(agents).await;
            assert!(begun.elapsed() < DEADLINE, "not idle: {progress:?}");
            match &still {
                Some((before, since, quanta, ticks)) if *before == progress.print => {
                    let has_read = progress.is_read && progress.quanta >= quanta + QUANTA;
                    let is_halted = progress.is_halted && since.elapsed() > Duration::from_millis(60);
                    let is_signed = progress.is_signed || since.elapsed() > UNSIGNED;
                    if (has_read || is_halted) && is_signed && progress.ticks >= ticks + TICKS {
                        return self.collect_codes(agents, &progress).await;
                    }
                }
                _ => still = Some((progress.print, Instant::now(), progress.quanta, progress.ticks)),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn progress(&self, agents: &Agents) -> Progress {
        let (lane, social, commercial) = (self.lane(), agents.social.status(), agents.registry.status());
        let feed = social.feeds.get(lane.feed.as_str()).cloned().unwrap_or_default();
        let own = social.lanes.get(&lane.to_string()).cloned().unwrap_or_default();
        let theirs = commercial
            .lanes
            .get(&lane.to_string())
            .cloned()
            .unwrap_or_default();
        let tail = self.exchange.last_chunk(&lane).await.unwrap();
        let tail = tail.and_then(|stored| read_untrusted(&stored.bytes));
        let tail = tail.map(|(manifest, _)| (manifest.epoch, manifest.number));
        let signed = last(self.exchange.as_ref(), &lane).await.unwrap();
        let signed = signed.map(|(receipt, _)| (receipt.epoch, receipt.to, receipt.behind.is_none()));
        let is_stopped = is_feed_stopped(&feed) || own.stopped;
        Progress {
            is_read: feed.state == "caught up" || feed.state == "reading",
            is_halted: is_stopped,
            is_signed: tail.map(|(epoch, number)| (epoch, number, true)) == signed
                || theirs.stopped.is_some()
                || theirs.unverified.iter().next().is_some()
                || commercial.other_store.is_some(),
            quanta: feed.quanta,
            ticks: commercial.ticks,
            print: format!(
                "{:?} {} {:?} {:?} {:?} {:?} {:?} {} {:?} {:?} {}",
                (
                    own.epoch,
                    own.number,
                    own.stopped,
                    &own.last_error,
                    own.unpublished_since.is_some()
                ),
                is_feed_stopped(&feed),
                feed.unverified.iter().map(|(code, _)| code).collect::<Vec<_>>(),
                own.unverified.iter().map(|(code, _)| code).collect::<Vec<_>>(),
                (theirs.epoch, theirs.frontier, theirs.pending, &theirs.stopped),
                theirs.unverified.iter().map(|(code, _)| code).collect::<Vec<_>>(),
                (tail, signed),
                self.exchange.stored_messages(Stream::Data).len(),
                commercial.other_store,
                commercial.last_error,
                feed.caught_up_at.is_some_and(|at| at > agents.since) || is_stopped,
            ),
        }
    }

    async fn collect_codes(&self, agents: &Agents, progress: &Progress) -> Shown {
        let (lane, social, commercial) = (self.lane(), agents.social.status(), agents.registry.status());
        let mut shown_codes = Shown::new();
        if let Some(feed) = social.feeds.get(lane.feed.as_str()) {
            shown_codes.extend(
                feed.unverified
                    .iter()
                    .map(|(code, reason)| (code, reason.detail.clone())),
            );
            if is_feed_stopped(feed) {
                let why = feed.last_error.clone().unwrap_or_else(|| feed.state.clone());
                shown_codes.insert("feed_stopped", why);
            }
        }
        if let Some(own) = social.lanes.get(&lane.to_string()) {
            shown_codes.extend(
                own.unverified
                    .iter()
                    .map(|(code, reason)| (code, reason.detail.clone())),
            );
            if own.stopped {
                shown_codes.insert("lane_stopped", own.state.clone());
            }
        }
        if let Some(theirs) = commercial.lanes.get(&lane.to_string()) {
            shown_codes.extend(
                theirs
                    .unverified
                    .iter()
                    .map(|(code, reason)| (code, reason.detail.clone())),
            );
            if let Some(why) = &theirs.stopped {
                shown_codes.insert("receiver_stopped", why.clone());
            }
        }
        if !progress.is_signed {
            shown_codes.insert("unsigned", "chunks wait to be signed for".to_owned());
        }
        // The product counts every few seconds; here it is counted at once.
        let counts = agents.store.count_rows(DEADLINE).await.unwrap();
        for difference in counts.iter().filter_map(store::RowCount::difference) {
            shown_codes.insert("rows_differ", format!("{difference:?}"));
        }
        shown_codes
    }
}

#[derive(Debug)]
struct Progress {
    is_read: bool,
    is_halted: bool,
    is_signed: bool,
    quanta: u64,
    ticks: u64,
    /// Everything that changes while the agents work.
    print: String,
}

/// Returns whether a feed is refused. It is opened again repeatedly.
fn is_feed_stopped(feed: &FeedStatus) -> bool {
    let is_tried = feed.state == "opening the feed" && feed.last_error.is_some();
    feed.state.starts_with("stopped") || is_tried
}

/// Returns whether nothing is read for the lane at all.
fn is_halted(shown_codes: &Shown) -> bool {
    shown_codes.contains_key("feed_stopped") || shown_codes.contains_key("lane_stopped")
}

fn differing(core: &BTreeMap<RowKey, CoreRow>, store: &BTreeMap<RowKey, String>) -> Vec<RowKey> {
    let keys: BTreeSet<&RowKey> = core.keys().chain(store.keys()).collect();
    let wanted = |key: &RowKey| core.get(key).and_then(|row| row.values.as_ref());
    let differ = keys.into_iter().filter(|key| wanted(key) != store.get(*key));
    differ.cloned().collect()
}

/// Returns whether a shown code explains that this row differs.
fn is_named(row: Option<&CoreRow>, shown_codes: &Shown, is_unseen: bool) -> bool {
    let is_of_row = match row.map(|row| row.standing) {
        Some(Standing::Ahead) => shown_codes.contains_key("future_rows"),
        Some(Standing::Misfit) => shown_codes.contains_key("cursor_formats"),
        Some(Standing::Placed | Standing::Null) | None => false,
    };
    is_of_row || is_unseen || shown_codes.keys().any(|name| !OF_ROWS.contains(name))
}
