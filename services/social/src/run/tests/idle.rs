//! Many quiet feeds with a real database: their cost, and that a new row is found.

use harness::{Db, Postgres};
use source::{PostgresConfig, PostgresSource};

use super::*;

const DEADLINE: Duration = Duration::from_secs(150);

const GRANTS: &str = "GRANT SELECT ON quiet TO $role; GRANT pg_read_all_stats TO $role";

struct Agent {
    exchange: Arc<Memory>,
    key: Arc<SigningKey>,
    source: Arc<PostgresSource>,
    view: SocialView,
    stop: CancellationToken,
    run: tokio::task::JoinHandle<std::result::Result<(), SocialError>>,
}

/// An agent with one feed for each of the first `feeds` kinds of rows.
fn agent(url: &str, feeds: usize) -> Agent {
    let (exchange, key) = (memory(), Arc::new(SigningKey::generate()));
    let gate = Gate::fixed_open();
    let mut config = PostgresConfig::new(url);
    config.statement_timeout = Duration::from_secs(30);
    let source = Arc::new(PostgresSource::new(config, gate.closed_flag()).unwrap());
    let mut parts = parts(&exchange, &key, gate, 0, &Arc::default());
    parts.source = Arc::clone(&source) as Arc<dyn Source>;
    parts.options = SocialOptions {
        // Which no delay of a busy machine costs.
        lease: crate::lease::Timing::of(Duration::from_secs(60)),
        ..SocialOptions::default()
    };
    let numbers = parts.feeds.pop().unwrap().definition;
    parts.feeds = (0..feeds)
        .map(|kind| FeedPlan {
            definition: FeedDefinition {
                name: name(kind),
                sql: format!("SELECT id, at FROM quiet WHERE kind = {kind}"),
                cursor: vec!["at".into(), "id".into()],
                cursor_set_by: CursorSetBy::Transaction,
                lag: Duration::from_millis(100),
                ..numbers.clone()
            },
            recipients: vec![recipients().swap_remove(0)],
        })
        .collect();
    let social = Social::new(parts).unwrap();
    let (view, stop) = (social.view(), CancellationToken::new());
    let run = tokio::spawn(social.run(stop.clone()));
    Agent {
        exchange,
        key,
        source,
        view,
        stop,
        run,
    }
}

fn name(kind: usize) -> FeedName {
    FeedName::new(format!("quiet{kind}")).unwrap()
}

impl Agent {
    /// Waits until every feed was read and rests for at least this long.
    async fn wait_until_idle(&self, min_rest: Duration) {
        let min_rest_ms = u64::try_from(min_rest.as_millis()).unwrap();
        harness::until("every feed to rest", DEADLINE, async || {
            let feeds = self.view.status().feeds;
            let awake = |(name, feed): (&String, &crate::status::FeedStatus)| {
                (feed.rows_read == 0 || feed.rest_ms < min_rest_ms)
                    .then(|| format!("{name}: {} {:?}", feed.state, feed.last_error))
            };
            feeds.iter().find_map(awake).map_or(Ok(()), Err)
        })
        .await;
    }

    fn polls(&self) -> u64 {
        let feeds = self.view.status().feeds;
        feeds.values().map(|feed| feed.quanta).sum()
    }

    fn statements(&self) -> u64 {
        self.source.driver_counts().statements
    }

    fn rows(&self, kind: usize) -> u64 {
        let lane = Lane {
            recipient: recipients().swap_remove(0),
            feed: name(kind),
        };
        let chunks = self.exchange.chunks(&lane, self.key.public());
        chunks
            .iter()
            .map(|chunk| chunk.manifest.content.totals.rows)
            .sum()
    }

    async fn end(self) {
        self.stop.cancel();
        assert_eq!(self.run.await.unwrap(), Ok(()));
    }
}

async fn core() -> (Db, String) {
    let db = Postgres::shared().await.database("quiet").await;
    db.execute(
        "CREATE TABLE quiet (id bigint PRIMARY KEY, kind int NOT NULL, at timestamptz NOT NULL DEFAULT now());
         CREATE INDEX ON quiet (at, id);
         INSERT INTO quiet SELECT g, g - 1, '2026-01-01'::timestamptz FROM generate_series(1, 60) g;",
    )
    .await;
    let role = db.role("reader", GRANTS).await;
    let url = db.url_as(&role);
    (db, url)
}

/// 200 quiet feeds cost a core 837 transactions a second. Both agents run at the same time, so that the machine's load is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_many_feeds_cost_little_more_than_a_few() {
    let (db, url) = core().await;
    let (few, many) = (agent(&url, 3), agent(&url, 60));
    few.wait_until_idle(Duration::from_millis(500)).await;
    many.wait_until_idle(Duration::from_secs(2)).await;
    let (polls, before) = (few.polls(), [few.statements(), many.statements()]);
    harness::until("ten polls of each of a few feeds", DEADLINE, async || {
        few.polls() >= polls + 30
    })
    .await;
    let [few_cost, many_cost] = [few.statements() - before[0], many.statements() - before[1]];
    assert!(few_cost >= 30, "they were polled: {few_cost} statements");
    assert!(
        many_cost * 3 < few_cost * 20,
        "60 feeds sent {many_cost} statements while 3 sent {few_cost}: a third of 20 times as many is the most"
    );
    db.execute("INSERT INTO quiet VALUES (1000, 37)").await;
    harness::until("the row of a quiet feed", DEADLINE, async || many.rows(37) == 2).await;
    few.end().await;
    many.end().await;
}
