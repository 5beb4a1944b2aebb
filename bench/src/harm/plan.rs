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

/// The load of the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// A percentage of its maximum rate.
    Steady(u32),
    /// Ten seconds at 90 %, ten seconds without load.
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

/// Returns the requested loads.
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

/// The kinds of child processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads nothing.
    None,
    /// The prior art.
    Timer,
    /// Slacktide.
    Agent,
    /// Slacktide's own binaries with exchange, poller and store on this machine.
    Whole,
}

/// An extractor and its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    /// The name.
    pub(crate) name: &'static str,
    /// The kind.
    pub(crate) kind: Kind,
    /// A file with the keys of the gate's table.
    pub(crate) gate: Option<PathBuf>,
    /// The idle group.
    pub(crate) group: Option<String>,
}

/// Returns the requested variants that this host supports. Prints the unsupported ones.
pub(crate) fn variants(arguments: &Arguments, rig: &Rig) -> Outcome<Vec<Variant>> {
    let group = format!("/slacktide-bench-{}", std::process::id());
    let help = Hierarchy::of_host().and_then(|hierarchy| Group::prepare(hierarchy, &group));
    let has_kernel_idle = match help {
        Ok(_) => true,
        Err(error) => {
            println!("kernel-idle mode is not measured on this host: {error}");
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
            name: "none",
            kind: Kind::None,
            gate: None,
            group: None,
        },
        Variant {
            name: "timer",
            kind: Kind::Timer,
            gate: None,
            group: None,
        },
        slacktide("normal", None, None),
    ];
    all.push(Variant {
        name: "whole",
        kind: Kind::Whole,
        gate: None,
        group: None,
    });
    if has_kernel_idle {
        all.push(slacktide("kernel_idle", None, Some(group.clone())));
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

/// Removes the idle group; no process of ours is in it any more.
pub(crate) fn clear(variants: &[Variant]) {
    let Ok(hierarchy) = Hierarchy::of_host() else {
        return;
    };
    for group in variants.iter().filter_map(|variant| variant.group.as_ref()) {
        // The second variant of the same group finds nothing to remove.
        let _ = std::fs::remove_dir(hierarchy.directory(group));
    }
}

/// Returns every variant once per round, in a new random order each round.
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
    fn order_has_every_variant_per_round_and_depends_on_the_seed() {
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
