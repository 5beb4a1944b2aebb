use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What a scripted probe does when it is called.
#[derive(Debug, Clone, PartialEq)]
enum ScriptedProbe {
    Value(f64, u64),
    Fail,
    Hang,
    Disconnect,
}

type CallTimes = Arc<StdMutex<Vec<(Instant, Instant)>>>;

struct Scripted {
    name: SignalName,
    script: VecDeque<ScriptedProbe>,
    refusals: u32,
    connected: bool,
    call_times: CallTimes,
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
        self.call_times.lock().unwrap().push((now, now));
        if self.refusals > 0 {
            self.refusals -= 1;
            return Err(SignalError("refused".to_owned()));
        }
        self.connected = true;
        Ok(())
    }

    async fn probe(&mut self) -> Result<BTreeMap<SignalName, f64>, SignalError> {
        let began = Instant::now();
        self.call_times.lock().unwrap().push((began, began));
        let step = self.script.pop_front().unwrap_or(ScriptedProbe::Value(1.0, 0));
        let outcome = match step {
            ScriptedProbe::Value(value, ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(BTreeMap::from([(self.name.clone(), value)]))
            }
            ScriptedProbe::Fail => Err(SignalError("failed".to_owned())),
            ScriptedProbe::Hang => std::future::pending().await,
            ScriptedProbe::Disconnect => {
                self.connected = false;
                Err(SignalError("lost".to_owned()))
            }
        };
        self.call_times.lock().unwrap().last_mut().unwrap().1 = Instant::now();
        outcome
    }

    fn disconnect(&mut self) {
        self.connected = false;
    }
}

fn probe(name: &str, script: &[ScriptedProbe], refusals: u32, call_times: &CallTimes) -> Box<dyn Probe> {
    Box::new(Scripted {
        name: name.into(),
        script: script.iter().cloned().collect(),
        refusals,
        connected: false,
        call_times: Arc::clone(call_times),
    })
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

fn any_script() -> impl Strategy<Value = Vec<ScriptedProbe>> {
    let step = prop_oneof![
        4 => (0.0..9.0_f64, 0_u64..9).prop_map(|(value, ms)| ScriptedProbe::Value(value, ms)),
        1 => Just(ScriptedProbe::Fail),
        1 => Just(ScriptedProbe::Hang),
        1 => Just(ScriptedProbe::Disconnect),
    ];
    prop::collection::vec(step, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// At most one statement or connection attempt per second, regardless of failures, hangs and disconnects, and also across a
    /// reconfiguration of the signals.
    #[test]
    fn probes_keep_their_spacing(scripts in prop::collection::vec((any_script(), 0_u32..3), 1..5), restart_ms in 0_u64..20_000) {
        let call_times = CallTimes::default();
        paused().block_on(async {
            let prober = Prober::new();
            let probes = || scripts.iter().enumerate().map(|(index, (script, refusals))| {
                probe(&format!("p{index}"), script, *refusals, &call_times)
            }).collect::<Vec<_>>();
            let first = prober.start(probes());
            tokio::time::sleep(Duration::from_millis(restart_ms)).await;
            let second = prober.start(probes());
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(first);
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(second);
        });
        let call_times = call_times.lock().unwrap();
        for pair in call_times.windows(2) {
            prop_assert!(pair[1].0 - pair[0].1 >= MIN_SPACING, "{:?}", pair[1].0 - pair[0].1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn probe_late_fails_after_five_milliseconds_and_reconnects() {
    let call_times = CallTimes::default();
    let prober = Prober::new();
    let mut signals = prober.start(vec![probe(
        "db_active",
        &[ScriptedProbe::Value(3.0, 1), ScriptedProbe::Hang],
        0,
        &call_times,
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
    // One slot for connecting, the next for the statement.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(signals[0].read().await, Ok(1.0));
    let count = prober.count();
    assert_eq!((count.probes, count.failures), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn source_unreachable_fails_every_signal() {
    let call_times = CallTimes::default();
    let prober = Prober::new();
    let probes = vec![probe("a", &[], 0, &call_times), probe("b", &[], 9, &call_times)];
    let mut signals = prober.start(probes);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(signals[0].read().await, Ok(1.0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    for signal in &mut signals {
        assert_eq!(signal.read().await, Err(SignalError("refused".to_owned())));
    }
}

#[tokio::test(start_paused = true)]
async fn reading_older_than_its_maximum_is_an_error() {
    let readings = Arc::new(LatestReadings::default());
    readings.store("a".into(), Ok(1.0));
    let mut signal = ProbedSignal {
        name: "a".into(),
        unit: "ms",
        readings,
        max_age: Duration::from_secs(3),
        _task: Arc::new(Task(tokio::spawn(async {}))),
    };
    assert_eq!(signal.read().await, Ok(1.0));
    tokio::time::sleep(Duration::from_millis(3_001)).await;
    let error = signal.read().await.unwrap_err();
    assert_eq!(error.0, "last probed 3001 ms ago, the maximum is 3000 ms");
}

#[tokio::test]
async fn prober_without_probes_starts_no_task() {
    let prober = Prober::new();
    assert!(prober.start(Vec::new()).is_empty());
    assert_eq!(prober.count(), ProbeCount::default());
}
