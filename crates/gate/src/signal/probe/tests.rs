use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What a scripted probe does at its turn.
#[derive(Debug, Clone, PartialEq)]
enum Turn {
    Say(f64, u64),
    Fail,
    Hang,
    Lose,
}

type Diary = Arc<StdMutex<Vec<(Instant, Instant)>>>;

struct Scripted {
    name: SignalName,
    script: VecDeque<Turn>,
    refusals: u32,
    connected: bool,
    diary: Diary,
}

#[async_trait]
impl Probe for Scripted {
    fn signals(&self) -> Vec<(SignalName, &'static str)> {
        vec![(self.name.clone(), "sessions")]
    }

    fn is_connected(&self) -> bool {
        self.connected
    }

    async fn connect(&mut self) -> Result<(), SignalError> {
        let now = Instant::now();
        self.diary.lock().unwrap().push((now, now));
        if self.refusals > 0 {
            self.refusals -= 1;
            return Err(SignalError("refused".to_owned()));
        }
        self.connected = true;
        Ok(())
    }

    async fn probe(&mut self) -> Result<BTreeMap<SignalName, f64>, SignalError> {
        let began = Instant::now();
        self.diary.lock().unwrap().push((began, began));
        let turn = self.script.pop_front().unwrap_or(Turn::Say(1.0, 0));
        let outcome = match turn {
            Turn::Say(value, ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(BTreeMap::from([(self.name.clone(), value)]))
            }
            Turn::Fail => Err(SignalError("failed".to_owned())),
            Turn::Hang => std::future::pending().await,
            Turn::Lose => {
                self.connected = false;
                Err(SignalError("lost".to_owned()))
            }
        };
        self.diary.lock().unwrap().last_mut().unwrap().1 = Instant::now();
        outcome
    }

    fn disconnect(&mut self) {
        self.connected = false;
    }
}

fn probe(name: &str, script: &[Turn], refusals: u32, diary: &Diary) -> Box<dyn Probe> {
    Box::new(Scripted {
        name: name.into(),
        script: script.iter().cloned().collect(),
        refusals,
        connected: false,
        diary: Arc::clone(diary),
    })
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        4 => (0.0..9.0_f64, 0_u64..9).prop_map(|(value, ms)| Turn::Say(value, ms)),
        1 => Just(Turn::Fail),
        1 => Just(Turn::Hang),
        1 => Just(Turn::Lose),
    ];
    prop::collection::vec(turn, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Never two statements, nor attempts to connect, within a second: whatever fails, hangs or
    /// is lost, and also when the signals are configured anew in between.
    #[test]
    fn never_two_within_a_second(scripts in prop::collection::vec((turns(), 0_u32..3), 1..5), anew in 0_u64..20_000) {
        let diary = Diary::default();
        paused().block_on(async {
            let prober = Prober::new();
            let probes = || scripts.iter().enumerate().map(|(index, (script, refusals))| {
                probe(&format!("p{index}"), script, *refusals, &diary)
            }).collect::<Vec<_>>();
            let first = prober.start(probes());
            tokio::time::sleep(Duration::from_millis(anew)).await;
            let second = prober.start(probes());
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(first);
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(second);
        });
        let diary = diary.lock().unwrap();
        for pair in diary.windows(2) {
            prop_assert!(pair[1].0 - pair[0].1 >= APART, "{:?}", pair[1].0 - pair[0].1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_probe_fails_after_five_milliseconds_and_is_connected_anew() {
    let diary = Diary::default();
    let prober = Prober::new();
    let mut signals = prober.start(vec![probe(
        "db_active",
        &[Turn::Say(3.0, 1), Turn::Hang],
        0,
        &diary,
    )]);
    assert_eq!(
        signals[0].read().await,
        Err(SignalError("not probed yet".to_owned()))
    );
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(signals[0].read().await, Ok(3.0));
    tokio::time::sleep(Duration::from_millis(920)).await;
    let late = signals[0].read().await;
    assert_eq!(late, Err(SignalError("no answer within 5 ms".to_owned())));
    // Connected in one turn, asked in the next.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(signals[0].read().await, Ok(1.0));
    let count = prober.count();
    assert_eq!((count.probes, count.failures), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_value_ages_and_a_source_that_is_gone_fails_every_signal() {
    let diary = Diary::default();
    let prober = Prober::new();
    let probes = vec![probe("a", &[], 0, &diary), probe("b", &[], 9, &diary)];
    let mut signals = prober.start(probes);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(signals[0].read().await, Ok(1.0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    for signal in &mut signals {
        assert_eq!(signal.read().await, Err(SignalError("refused".to_owned())));
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_value_is_no_value() {
    let kept = Arc::new(Kept::default());
    kept.keep("a".into(), Ok(1.0));
    let mut signal = Probed {
        name: "a".into(),
        unit: "ms",
        kept,
        most_age: Duration::from_secs(3),
        _task: Arc::new(Task(tokio::spawn(async {}))),
    };
    assert_eq!(signal.read().await, Ok(1.0));
    tokio::time::sleep(Duration::from_millis(3_001)).await;
    let error = signal.read().await.unwrap_err();
    assert_eq!(error.0, "last probed 3001 ms ago, 3000 ms is the most");
}

#[tokio::test]
async fn no_probe_is_no_task() {
    let prober = Prober::new();
    assert!(prober.start(Vec::new()).is_empty());
    assert_eq!(prober.count(), ProbeCount::default());
}
