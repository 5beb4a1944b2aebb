//! The schedule of faults. PURE: it depends on the seed and the number of faults only.

use std::fmt;

use harness::rng::Rng;

/// A program of the site that is a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Bureau,
    Insurer,
    Exchange,
}

/// A connection of an agent, which a proxy carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    BureauExchange,
    InsurerExchange,
    Core,
    Store,
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL; started again when the fault is removed.
    Kill(Program),
    /// Connections are closed, new ones too.
    Disconnect(Link),
    /// Connections stay open, and nothing passes.
    BlackHole(Link),
    /// Each read of the proxy waits for this many milliseconds.
    Delay(Link, u32),
    /// SIGSTOP.
    Suspend(Program),
    /// The core's clock is shifted by this many seconds.
    StepClock(i64),
    /// A task of an agent panics: its `nth` read of the clock fails.
    Panic(Program, u32),
    /// The core is replaced by an older copy of itself.
    RestoreCore,
    /// The store is replaced by an older copy of itself.
    RestoreStore,
    /// The exchange's streams are replaced by an older copy.
    RestoreExchange,
}

/// A fault, and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) fault: Fault,
    /// How long the fault lasts, in transactions of the business.
    pub(super) transactions: u64,
    /// Whether the next fault is injected before this one is removed.
    pub(super) is_kept: bool,
    /// Whether the operators follow what is shown before the next fault.
    pub(super) is_operated: bool,
    /// Whether core and store are compared before the next fault.
    pub(super) is_compared: bool,
}

/// The kinds of faults. Each deck has one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Cut,
    Delay,
    Suspend,
    StepClock,
    Panic,
    RestoreCore,
    RestoreStore,
    RestoreExchange,
}

const KINDS: [Kind; 9] = [
    Kind::Kill,
    Kind::Cut,
    Kind::Delay,
    Kind::Suspend,
    Kind::StepClock,
    Kind::Panic,
    Kind::RestoreCore,
    Kind::RestoreStore,
    Kind::RestoreExchange,
];

/// The number of faults in a deck.
pub(super) const DECK: usize = KINDS.len();

const LINKS: [Link; 4] = [
    Link::BureauExchange,
    Link::InsurerExchange,
    Link::Core,
    Link::Store,
];

const PROGRAMS: [Program; 3] = [Program::Bureau, Program::Insurer, Program::Exchange];

/// Returns the steps of a run. Faults are dealt from shuffled decks; core and store are compared after each deck, and more
/// often after the first one.
pub(super) fn schedule(seed: u64, faults: usize) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let mut steps = Vec::with_capacity(faults);
    while steps.len() < faults {
        let is_first = steps.is_empty();
        let mut deck = KINDS;
        for last in (1..deck.len()).rev() {
            deck.swap(last, rng.below(last + 1));
        }
        for (place, kind) in deck.into_iter().enumerate().take(faults - steps.len()) {
            let is_last = place + 1 == DECK || steps.len() + 1 == faults;
            steps.push(Step {
                fault: fault(&mut rng, kind),
                transactions: transactions(&mut rng),
                is_kept: rng.percent(40),
                is_operated: rng.percent(50),
                is_compared: is_last || (!is_first && rng.percent(15)),
            });
        }
    }
    steps
}

/// Returns the faults of a schedule, with a `+` where the next one is injected before.
pub(super) fn describe(steps: &[Step]) -> String {
    let faults = steps.iter().map(|step| {
        let mark = if step.is_kept && step.fault.is_lasting() {
            "+"
        } else {
            ""
        };
        format!("{}{mark}", step.fault)
    });
    faults.collect::<Vec<_>>().join(", ")
}

fn transactions(rng: &mut Rng) -> u64 {
    // A few faults last longer than a lease.
    let span = if rng.percent(10) { (300, 900) } else { (10, 90) };
    rng.span(span.0, span.1).unsigned_abs()
}

fn fault(rng: &mut Rng, kind: Kind) -> Fault {
    match kind {
        Kind::Kill => Fault::Kill(rng.pick(&PROGRAMS)),
        Kind::Cut if rng.percent(75) => Fault::Disconnect(rng.pick(&LINKS)),
        Kind::Cut => Fault::BlackHole(rng.pick(&LINKS)),
        Kind::Delay => Fault::Delay(rng.pick(&LINKS), rng.pick(&[10, 40, 150])),
        Kind::Suspend => Fault::Suspend(rng.pick(&PROGRAMS)),
        Kind::StepClock => Fault::StepClock(rng.pick(&[-600, -30, -7, 3, 6])),
        Kind::Panic => Fault::Panic(rng.pick(&PROGRAMS[..2]), rng.pick(&[1, 7, 23, 60, 151, 400])),
        Kind::RestoreCore => Fault::RestoreCore,
        Kind::RestoreStore => Fault::RestoreStore,
        Kind::RestoreExchange => Fault::RestoreExchange,
    }
}

impl Fault {
    /// Returns whether the fault lasts until it is removed.
    pub(super) fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::Kill(_)
                | Self::Disconnect(_)
                | Self::BlackHole(_)
                | Self::Delay(..)
                | Self::Suspend(_)
                | Self::StepClock(_)
        )
    }

    /// Returns whether both faults concern the same program or connection, or both the core's clock.
    pub(super) fn excludes(self, other: Self) -> bool {
        let is_of_core = |fault| matches!(fault, Self::StepClock(_) | Self::RestoreCore);
        let is_same_program = self.program().is_some() && self.program() == other.program();
        let is_same_link = self.link().is_some() && self.link() == other.link();
        is_same_program || is_same_link || (is_of_core(self) && is_of_core(other))
    }

    fn program(self) -> Option<Program> {
        match self {
            Self::Kill(program) | Self::Suspend(program) | Self::Panic(program, _) => Some(program),
            Self::RestoreExchange => Some(Program::Exchange),
            _ => None,
        }
    }

    fn link(self) -> Option<Link> {
        match self {
            Self::Disconnect(link) | Self::BlackHole(link) | Self::Delay(link, _) => Some(link),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[test]
fn schedule_depends_on_the_seed_and_has_every_kind() {
    let steps = schedule(7, 2 * DECK + 1);
    assert_eq!(steps, schedule(7, 2 * DECK + 1));
    assert_ne!(steps, schedule(8, 2 * DECK + 1));
    assert_eq!(steps.len(), 2 * DECK + 1);
    for deck in steps.chunks_exact(DECK) {
        let kinds: std::collections::BTreeSet<String> = deck
            .iter()
            .map(|step| format!("{:?}", std::mem::discriminant(&step.fault)))
            .collect();
        assert_eq!(kinds.len(), DECK, "{deck:?}");
    }
    assert!(steps.last().unwrap().is_compared && steps[DECK - 1].is_compared);
    assert!(steps[..DECK - 1].iter().all(|step| !step.is_compared));
}
