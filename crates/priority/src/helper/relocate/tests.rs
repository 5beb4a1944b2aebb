//! A host on which something happens between any two steps of a move.
//!
//! Trap: a number is given to another process between the check and the move. Every moment is tried, and two of them
//! together, and the start time of the other process may be the very same tick.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;

const IDLE: &str = "/idle";
const ASKER: u32 = 10;
const BACKEND: u32 = 30;
const CHILD: u32 = 77;
const AGENT: u32 = 99;

/// What may happen to the process that has a number at the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// It ends, and its number is given away: to a child of process 1, or of another one.
    Reuse { pid: u32, parent: u32 },
    /// It ends and is reaped.
    End(u32),
    /// It runs a program with the setuid bit.
    Setuid(u32),
    /// It forks.
    Fork(u32),
}

/// A process; ended ones stay in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    uid: u32,
    group: String,
    io_class: IoClass,
    /// Where it has to be at the end.
    home: String,
    is_running: bool,
}

#[derive(Debug, Default)]
struct World {
    processes: Vec<Process>,
    events: BTreeMap<usize, Event>,
    steps: usize,
    /// Handles prove nothing: what the check is worth without them.
    is_blind: bool,
}

impl World {
    fn add(&mut self, pid: u32, parent: u32, uid: u32, group: &str) {
        self.processes.push(Process {
            pid,
            parent,
            uid,
            group: group.to_owned(),
            io_class: IoClass::NONE,
            home: group.to_owned(),
            is_running: true,
        });
    }

    /// Which process has the number now.
    fn holder(&self, pid: u32) -> Option<usize> {
        let has = |process: &Process| process.pid == pid && process.is_running;
        self.processes.iter().position(has)
    }

    fn get(&self, pid: u32) -> Option<&Process> {
        self.holder(pid).map(|at| &self.processes[at])
    }

    fn happen(&mut self, event: Event) {
        let (Event::Reuse { pid, .. } | Event::End(pid) | Event::Setuid(pid) | Event::Fork(pid)) = event;
        let Some(at) = self.holder(pid) else { return };
        match event {
            Event::End(_) => self.processes[at].is_running = false,
            Event::Setuid(_) => self.processes[at].uid = 0,
            Event::Reuse { parent, .. } => {
                self.processes[at].is_running = false;
                let group = self.get(parent).expect("it runs").group.clone();
                // Of the same user, too, so that only the handle distinguishes them.
                let uid = self.processes[at].uid;
                self.add(pid, parent, uid, &group);
            }
            Event::Fork(_) => {
                let mut child = self.processes[at].clone();
                child.parent = pid;
                child.pid = CHILD;
                self.processes.push(child);
            }
        }
    }
}

struct Model(RefCell<World>);

impl Model {
    /// A step begins: what was to happen before it happens.
    fn step(&self) -> std::cell::RefMut<'_, World> {
        let mut world = self.0.borrow_mut();
        let now = world.steps;
        world.steps += 1;
        if let Some(event) = world.events.remove(&now) {
            world.happen(event);
        }
        world
    }

    /// What an examination reads, field by field. The start time is left out: all of them started in one tick.
    fn identity(&self, pid: u32) -> Result<(u32, u32), Denial> {
        let ended = || Denial::from(format!("process {pid} has ended"));
        self.step().get(pid).ok_or_else(ended)?;
        let uid = self.step().get(pid).ok_or_else(ended)?.uid;
        Ok((pid, uid))
    }
}

impl Host for Model {
    type Handle = usize;

    fn open(&self, pid: u32) -> Option<usize> {
        self.step().holder(pid)
    }

    fn is_running(&self, handle: &usize) -> bool {
        let world = self.step();
        world.is_blind || world.processes[*handle].is_running
    }

    fn parent(&self, pid: u32) -> Option<u32> {
        self.step().get(pid).map(|process| process.parent)
    }

    fn group(&self, pid: u32) -> Option<String> {
        self.step().get(pid).map(|process| process.group.clone())
    }

    fn children(&self, pid: u32) -> Vec<u32> {
        let world = self.step();
        let children = world.processes.iter();
        let children = children.filter(|process| process.is_running && process.parent == pid);
        children.map(|process| process.pid).collect()
    }

    fn put(&self, group: &str, pid: u32) -> Result<(), String> {
        let mut world = self.step();
        let at = world.holder(pid).ok_or("no such process")?;
        group.clone_into(&mut world.processes[at].group);
        Ok(())
    }

    fn io_class(&self, pid: u32) -> Option<IoClass> {
        self.step().get(pid).map(|process| process.io_class)
    }

    fn set_io_class(&self, class: IoClass, pid: u32) -> Result<(), String> {
        let mut world = self.step();
        let at = world.holder(pid).ok_or("no such process")?;
        world.processes[at].io_class = class;
        Ok(())
    }
}

/// Asks for `target` to be moved while these things happen, and returns the answer and what is left.
fn run(target: u32, events: &[(usize, Event)], is_blind: bool) -> (Result<(), Denial>, World) {
    let mut world = World {
        events: events.iter().copied().collect(),
        is_blind,
        ..World::default()
    };
    world.add(1, 0, 0, "/");
    world.add(2, 1, 0, "/app");
    world.add(20, 1, 26, "/db");
    world.add(ASKER, 1, AGENT, "/agent");
    world.add(BACKEND, 20, 26, "/db");
    let handles = (
        world.holder(ASKER).expect("it runs"),
        world.holder(target).expect("it runs"),
    );
    let model = Model(RefCell::new(world));
    let wanted = if target == ASKER { AGENT } else { 26 };
    let examine = || {
        let asker = model.identity(ASKER)?;
        let backend = model.identity(target)?;
        if asker.1 == AGENT && backend.1 == wanted {
            Ok((asker, backend))
        } else {
            Err("another user's".to_owned().into())
        }
    };
    let target = Target {
        pid: target,
        handle: &handles.1,
        asker: &handles.0,
    };
    let answer = relocate(&model, IDLE, &target, examine).map(drop);
    (answer, model.0.into_inner())
}

/// Everything that runs is where it belongs. Only the target may be idle, and only if the answer is yes.
fn misplaced(target: u32, answer: &Result<(), Denial>, world: &World) -> Option<Process> {
    let ours = world.processes.iter().position(|process| process.pid == target);
    let is_wrong = |at: usize, process: &Process| {
        let moved = process.group != process.home || process.io_class != IoClass::NONE;
        // What the target itself forks goes with it.
        let is_ours = Some(at) == ours || process.pid == CHILD;
        process.is_running && moved && !(is_ours && answer.is_ok())
    };
    let mut all = world.processes.iter().enumerate();
    all.find(|(at, process)| is_wrong(*at, process))
        .map(|(_, process)| process.clone())
}

/// How many steps a move takes when nothing happens.
fn steps(target: u32) -> usize {
    let (answer, world) = run(target, &[], false);
    assert_eq!(answer, Ok(()));
    let moved = world.get(target).expect("it runs");
    assert_eq!((moved.group.as_str(), moved.io_class), (IDLE, IoClass::IDLE));
    world.steps
}

fn reuse(pid: u32) -> Event {
    Event::Reuse { pid, parent: 1 }
}

#[test]
fn reused_number_at_any_moment_moves_no_stranger() {
    for target in [ASKER, BACKEND] {
        let steps = steps(target);
        for at in 0..=steps {
            for event in [reuse(target), Event::End(target), reuse(ASKER), Event::End(ASKER)] {
                let (answer, world) = run(target, &[(at, event)], false);
                // The asker has to be there until its backend is moved.
                if event == reuse(target) || event == Event::End(target) {
                    assert_eq!(answer.is_ok(), at == steps, "{event:?} at step {at}: {answer:?}");
                }
                assert_eq!(misplaced(target, &answer, &world), None, "{event:?} at step {at}");
            }
        }
    }
}

#[test]
fn number_reused_twice_moves_no_stranger() {
    // A repair takes steps, too.
    let steps = steps(BACKEND) + 24;
    for first in 0..=steps {
        for second in first + 1..=steps {
            let to_another = Event::Reuse {
                pid: BACKEND,
                parent: 2,
            };
            let (answer, world) = run(BACKEND, &[(first, reuse(BACKEND)), (second, to_another)], false);
            assert_eq!(
                misplaced(BACKEND, &answer, &world),
                None,
                "at steps {first} and {second}"
            );
        }
    }
}

#[test]
fn fork_of_a_stranger_is_put_back_with_it() {
    let steps = steps(BACKEND) + 24;
    for first in 0..=steps {
        for second in first + 1..=steps {
            let events = [(first, reuse(BACKEND)), (second, Event::Fork(BACKEND))];
            let (answer, world) = run(BACKEND, &events, false);
            assert_eq!(
                misplaced(BACKEND, &answer, &world),
                None,
                "at steps {first} and {second}"
            );
        }
    }
}

#[test]
fn setuid_program_at_any_moment_is_moved_back() {
    let steps = steps(ASKER);
    let mut refused = 0;
    for at in 0..=steps {
        let (answer, world) = run(ASKER, &[(at, Event::Setuid(ASKER))], false);
        // After the second examination it runs as the asker that was moved, as a member of the group would.
        refused += usize::from(answer.is_err());
        assert_eq!(misplaced(ASKER, &answer, &world), None, "at step {at}");
        for fork in at + 1..steps + 8 {
            let (answer, world) = run(
                ASKER,
                &[(at, Event::Setuid(ASKER)), (fork, Event::Fork(ASKER))],
                false,
            );
            assert_eq!(
                misplaced(ASKER, &answer, &world),
                None,
                "at steps {at} and {fork}"
            );
        }
    }
    assert!(refused > steps / 2, "{refused} of {steps}");
}

/// What the tests above are worth: with handles that prove nothing they find a stranger in the group.
#[test]
fn model_without_handles_finds_a_stranger_moved() {
    for target in [ASKER, BACKEND] {
        let found = (0..=steps(target)).any(|at| {
            let (answer, world) = run(target, &[(at, reuse(target))], true);
            let stranger = world
                .processes
                .iter()
                .skip(5)
                .any(|process| process.group == IDLE);
            stranger && misplaced(target, &answer, &world).is_some()
        });
        assert!(found, "{target}");
    }
}

#[test]
fn failed_move_is_reported_and_leaves_the_group() {
    let (answer, world) = run(BACKEND, &[(0, Event::Setuid(ASKER))], false);
    assert_eq!(answer, Err("another user's".to_owned().into()));
    assert_eq!(world.get(BACKEND).expect("it runs").group, "/db");
}
