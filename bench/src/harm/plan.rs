//! The loads, the variants, and the order of the slots.

use std::fmt;
use std::path::PathBuf;

use priority::cgroup::{Group, Hierarchy};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::rig::Rig;

/// How busy the business is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// So many percent of its highest rate.
    Steady(u32),
    /// Ten seconds at 90 %, ten seconds of nothing.
    Burst,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steady(percent) => write!(f, "{percent} %"),
            Self::Burst => f.write_str("bursts"),
        }
    }
}

/// The loads that were asked for.
pub(crate) fn loads(arguments: &Arguments) -> Vec<Load> {
    let all = [
        ("30", Load::Steady(30)),
        ("60", Load::Steady(60)),
        ("85", Load::Steady(85)),
        ("burst", Load::Burst),
    ];
    let wanted = |name: &str| {
        arguments
            .loads
            .as_ref()
            .is_none_or(|loads| loads.iter().any(|load| load == name))
    };
    all.into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(_, load)| load)
        .collect()
}

/// Kinds of children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads nothing.
    Nobody,
    /// The prior art.
    Timer,
    /// Slacktide.
    Agent,
    /// Slacktide's own binaries with exchange, poller and store on this machine.
    Whole,
}

/// Who extracts.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) kind: Kind,
    /// The keys of the gate's table.
    pub(crate) gate: Option<PathBuf>,
    /// The idle group.
    pub(crate) group: Option<String>,
}

/// The variants that were asked for and can be had here. What cannot be had is said.
pub(crate) fn variants(arguments: &Arguments, rig: &Rig) -> Outcome<Vec<Variant>> {
    let group = format!("/slacktide-bench-{}", std::process::id());
    let help = Hierarchy::of_host().and_then(|hierarchy| Group::prepare(hierarchy, &group));
    let has_kernel = match help {
        Ok(_) => true,
        Err(error) => {
            println!("the regime with the kernel's help is not measured here: {error}");
            false
        }
    };
    let tuned = rig.folder().join("tuned.toml");
    std::fs::copy(&arguments.tuned, &tuned)
        .map_err(|error| format!("{}: {error}", arguments.tuned.display()))?;
    let slacktide = |name, gate, group| Variant {
        name,
        kind: Kind::Agent,
        gate,
        group,
    };
    let mut all = vec![
        Variant {
            name: "nobody",
            kind: Kind::Nobody,
            gate: None,
            group: None,
        },
        Variant {
            name: "timer",
            kind: Kind::Timer,
            gate: None,
            group: None,
        },
        slacktide("bare", None, None),
    ];
    all.push(Variant {
        name: "whole",
        kind: Kind::Whole,
        gate: None,
        group: None,
    });
    if has_kernel {
        all.push(slacktide("kernel", None, Some(group.clone())));
        all.push(slacktide("tuned", Some(tuned), Some(group)));
    } else {
        all.push(slacktide("tuned", Some(tuned), None));
    }
    all.retain(|variant| {
        arguments
            .variants
            .as_ref()
            .is_none_or(|wanted| wanted.iter().any(|name| name == variant.name))
    });
    Ok(all)
}

/// Takes the idle group away again; nothing of ours is in it any more.
pub(crate) fn clear(variants: &[Variant]) {
    let Ok(hierarchy) = Hierarchy::of_host() else {
        return;
    };
    for group in variants.iter().filter_map(|variant| variant.group.as_ref()) {
        // The second variant of the same group finds nothing.
        let _ = std::fs::remove_dir(hierarchy.directory(group));
    }
}

/// Every variant once a round, in an order that is drawn anew each round.
pub(crate) fn order(variants: usize, rounds: usize, seed: u64) -> Vec<usize> {
    let mut lot = StdRng::seed_from_u64(seed);
    (0..rounds)
        .flat_map(|_| {
            let mut round: Vec<usize> = (0..variants).collect();
            round.shuffle(&mut lot);
            round
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_every_variant_and_the_seed_decides() {
        let order_of = |seed| order(4, 6, seed);
        for round in order_of(7).chunks(4) {
            let mut round = round.to_vec();
            round.sort_unstable();
            assert_eq!(round, [0, 1, 2, 3]);
        }
        assert_eq!(order_of(7), order_of(7));
        assert_ne!(order_of(7), order_of(8));
    }
}
