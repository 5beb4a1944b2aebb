//! When the product is at rest, what it shows then, and whether core and store are equal or the difference is named.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use commercial::receipts::last;
use exchange::Exchange;
use exchange::port::Stream;
use schemas::chunk::place;
use social::status::FeedStatus;
use store::Store;

use super::site::{Agents, Site};
use super::table::{CoreRow, RowKey, Standing};

/// A deadline of the test; nothing is asserted of how long it takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Turns of the feed after which nothing that was committed before is left unread: more than the lag.
const QUANTA: u64 = 10;

const TICKS: u64 = 4;

/// A chunk that is not signed for after this long was taken by a store that lost it.
const UNSIGNED: Duration = Duration::from_secs(2);

/// Keys of which the feed cannot see what happened without a resynchronisation, as docs/operate.md says: hard deletes, and
/// changes that its cursor does not show.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    now: BTreeSet<RowKey>,
    /// Those that the resynchronisation brings which was ordered last.
    ordered: BTreeSet<RowKey>,
}

impl Unseen {
    pub(super) fn note(&mut self, key: RowKey) {
        self.now.insert(key);
    }

    /// A resynchronisation is ordered.
    pub(super) fn is_ordered(&mut self) {
        self.ordered.append(&mut self.now);
    }

    fn holds(&self, key: &RowKey) -> bool {
        self.now.contains(key) || self.ordered.contains(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.now.is_empty() && self.ordered.is_empty()
    }
}

/// What the product shows of the lane, by name, with the words for people.
pub(super) type Shown = BTreeMap<&'static str, String>;

/// Names under which single rows may differ; under every other name the whole lane may.
const OF_ROWS: [&str; 2] = ["future_rows", "cursor_forms"];

impl Site {
    /// Other processes take over, come to rest, and core and store are compared.
    ///
    /// # Errors
    /// A difference that nothing names.
    pub(super) async fn look(&mut self, unseen: &mut Unseen) -> Result<Shown, String> {
        self.restart().await;
        let shown = self.rest().await;
        let (core, store) = (self.core(), self.store());
        let (core, store) = (self.table.core_rows(&core), self.table.store_rows(&store));
        let is_resynchronised =
            !shown.contains_key("resync_under_way") && !shown.contains_key("resync_incomplete");
        if is_resynchronised && !is_halted(&shown) {
            unseen.ordered.clear();
        }
        let differing = differing(&core, &store);
        let unnamed: Vec<String> = differing
            .iter()
            .filter(|key| !is_named(core.get(*key), &shown, unseen.holds(key)))
            .map(|key| format!("{key}: core {:?}, store {:?}", core.get(key), store.get(key)))
            .collect();
        if unnamed.is_empty() {
            Ok(shown)
        } else {
            Err(format!("shown {shown:?}, and unnamed: {}", unnamed.join("; ")))
        }
    }

    /// Whether core and store hold the same rows.
    pub(super) fn differs(&self) -> Vec<RowKey> {
        let (core, store) = (self.core(), self.store());
        differing(&self.table.core_rows(&core), &self.table.store_rows(&store))
    }

    /// Waits until everything is read, stored and signed for, or until it is shown why it is not.
    async fn rest(&self) -> Shown {
        let agents = self.agents.as_ref().unwrap();
        let begun = Instant::now();
        let mut still: Option<(String, Instant, u64, u64)> = None;
        loop {
            let seen = self.seen(agents).await;
            assert!(begun.elapsed() < PATIENCE, "no rest: {seen:?}");
            match &still {
                Some((before, since, quanta, ticks)) if *before == seen.print => {
                    let has_read = seen.is_read && seen.quanta >= quanta + QUANTA;
                    let is_halted = seen.is_halted && since.elapsed() > Duration::from_millis(60);
                    let is_signed = seen.is_signed || since.elapsed() > UNSIGNED;
                    if (has_read || is_halted) && is_signed && seen.ticks >= ticks + TICKS {
                        return self.shown(agents, &seen).await;
                    }
                }
                _ => still = Some((seen.print, Instant::now(), seen.quanta, seen.ticks)),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn seen(&self, agents: &Agents) -> Seen {
        let (lane, social, commercial) = (self.lane(), agents.social.status(), agents.board.status());
        let feed = social.feeds.get(lane.feed.as_str()).cloned().unwrap_or_default();
        let own = social.lanes.get(&lane.to_string()).cloned().unwrap_or_default();
        let theirs = commercial
            .lanes
            .get(&lane.to_string())
            .cloned()
            .unwrap_or_default();
        let tail = self.exchange.last_chunk(&lane).await.unwrap();
        let tail = tail.and_then(|stored| place(&stored.bytes));
        let tail = tail.map(|(manifest, _)| (manifest.epoch, manifest.number));
        let signed = last(self.exchange.as_ref(), &lane).await.unwrap();
        let signed = signed.map(|(receipt, _)| (receipt.epoch, receipt.to, receipt.behind.is_none()));
        let is_stopped = is_feed_stopped(&feed) || own.stopped;
        Seen {
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
                self.exchange.kept(Stream::Data).len(),
                commercial.other_store,
                commercial.last_error,
                feed.caught_up_at.is_some_and(|at| at > agents.since) || is_stopped,
            ),
        }
    }

    async fn shown(&self, agents: &Agents, seen: &Seen) -> Shown {
        let (lane, social, commercial) = (self.lane(), agents.social.status(), agents.board.status());
        let mut shown = Shown::new();
        if let Some(feed) = social.feeds.get(lane.feed.as_str()) {
            shown.extend(
                feed.unverified
                    .iter()
                    .map(|(code, reason)| (code, reason.detail.clone())),
            );
            if is_feed_stopped(feed) {
                let why = feed.last_error.clone().unwrap_or_else(|| feed.state.clone());
                shown.insert("feed_stopped", why);
            }
        }
        if let Some(own) = social.lanes.get(&lane.to_string()) {
            shown.extend(
                own.unverified
                    .iter()
                    .map(|(code, reason)| (code, reason.detail.clone())),
            );
            if own.stopped {
                shown.insert("lane_stopped", own.state.clone());
            }
        }
        if let Some(theirs) = commercial.lanes.get(&lane.to_string()) {
            shown.extend(
                theirs
                    .unverified
                    .iter()
                    .map(|(code, reason)| (code, reason.detail.clone())),
            );
            if let Some(why) = &theirs.stopped {
                shown.insert("receiver_stopped", why.clone());
            }
        }
        if !seen.is_signed {
            shown.insert("unsigned", "chunks wait to be signed for".to_owned());
        }
        // Counted every some seconds; here at once.
        let counts = agents.store.count_rows(PATIENCE).await.unwrap();
        for difference in counts.iter().filter_map(store::RowCount::difference) {
            shown.insert("rows_differ", format!("{difference:?}"));
        }
        shown
    }
}

#[derive(Debug)]
struct Seen {
    is_read: bool,
    is_halted: bool,
    is_signed: bool,
    quanta: u64,
    ticks: u64,
    /// Everything that changes while something moves.
    print: String,
}

/// Whether a feed is refused. It is opened again and again.
fn is_feed_stopped(feed: &FeedStatus) -> bool {
    let is_tried = feed.state == "opening the feed" && feed.last_error.is_some();
    feed.state.starts_with("stopped") || is_tried
}

/// Whether nothing is read for the lane at all.
fn is_halted(shown: &Shown) -> bool {
    shown.contains_key("feed_stopped") || shown.contains_key("lane_stopped")
}

fn differing(core: &BTreeMap<RowKey, CoreRow>, store: &BTreeMap<RowKey, String>) -> Vec<RowKey> {
    let keys: BTreeSet<&RowKey> = core.keys().chain(store.keys()).collect();
    let wanted = |key: &RowKey| core.get(key).and_then(|row| row.values.as_ref());
    let differ = keys.into_iter().filter(|key| wanted(key) != store.get(*key));
    differ.cloned().collect()
}

/// Whether it is shown that this row may differ.
fn is_named(row: Option<&CoreRow>, shown: &Shown, is_unseen: bool) -> bool {
    let is_of_row = match row.map(|row| row.standing) {
        Some(Standing::Ahead) => shown.contains_key("future_rows"),
        Some(Standing::Misfit) => shown.contains_key("cursor_forms"),
        Some(Standing::Placed | Standing::Null) | None => false,
    };
    is_of_row || is_unseen || shown.keys().any(|name| !OF_ROWS.contains(name))
}
