//! A simulated host on which an event happens between any two steps of a move.
//!
//! Trap: an id is reused between the check and the move. Every moment is tried, and pairs of them, and the start time
//! of the other process may be the same tick.

use std::cell::RefCell;
use std::collections::BTreeMap;

use priority::cgroup::CgroupError;
use priority::io_class::IoClassError;

use super::*;

const IDLE: &str = "/idle";
const REQUESTER: u32 = 10;
const BACKEND: u32 = 30;
const CHILD: u32 = 77;
const AGENT: u32 = 99;

/// Events that may happen to the process with an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// It ends, and its id is reused: by a child of process 1, or of another process.
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
    /// The group it must be in at the end.
    home: String,
    is_running: bool,
}

#[derive(Debug, Default)]
struct SimulatedHost {
    processes: Vec<Process>,
    events: BTreeMap<usize, Event>,
    steps: usize,
    /// Handles prove nothing, to test the test.
    is_blind: bool,
}

impl SimulatedHost {
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

    /// Returns which process has the id now.
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
                // Of the same user too, so that only the handle distinguishes them.
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

struct Model(RefCell<SimulatedHost>);

impl Model {
    /// Begins a step; a scheduled event happens before it.
    fn step(&self) -> std::cell::RefMut<'_, SimulatedHost> {
        let mut host_state = self.0.borrow_mut();
        let now = host_state.steps;
        host_state.steps += 1;
        if let Some(event) = host_state.events.remove(&now) {
            host_state.happen(event);
        }
        host_state
    }

    /// Returns what an examination reads. The start time is omitted: all of them started in one tick.
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
        let host_state = self.step();
        host_state.is_blind || host_state.processes[*handle].is_running
    }

    fn parent(&self, pid: u32) -> Option<u32> {
        self.step().get(pid).map(|process| process.parent)
    }

    fn group(&self, pid: u32) -> Option<String> {
        self.step().get(pid).map(|process| process.group.clone())
    }

    fn children(&self, pid: u32) -> Vec<u32> {
        let host_state = self.step();
        let children = host_state.processes.iter();
        let children = children.filter(|process| process.is_running && process.parent == pid);
        children.map(|process| process.pid).collect()
    }

    fn put(&self, group: &str, pid: u32) -> Result<(), CgroupError> {
        let mut host_state = self.step();
        let at = host_state.holder(pid).ok_or(CgroupError::Gone(pid))?;
        group.clone_into(&mut host_state.processes[at].group);
        Ok(())
    }

    fn io_class(&self, pid: u32) -> Option<IoClass> {
        self.step().get(pid).map(|process| process.io_class)
    }

    fn set_io_class(&self, class: IoClass, pid: u32) -> Result<(), IoClassError> {
        let mut host_state = self.step();
        let at = host_state.holder(pid).ok_or(IoClassError::Refused("ionice"))?;
        host_state.processes[at].io_class = class;
        Ok(())
    }
}

/// Requests to move `target` while the events happen; returns the reply and the final state.
fn run(target: u32, events: &[(usize, Event)], is_blind: bool) -> (Result<(), Denial>, SimulatedHost) {
    let mut host_state = SimulatedHost {
        events: events.iter().copied().collect(),
        is_blind,
        ..SimulatedHost::default()
    };
    host_state.add(1, 0, 0, "/");
    host_state.add(2, 1, 0, "/app");
    host_state.add(20, 1, 26, "/db");
    host_state.add(REQUESTER, 1, AGENT, "/agent");
    host_state.add(BACKEND, 20, 26, "/db");
    let handles = (
        host_state.holder(REQUESTER).expect("it runs"),
        host_state.holder(target).expect("it runs"),
    );
    let model = Model(RefCell::new(host_state));
    let wanted = if target == REQUESTER { AGENT } else { 26 };
    let examine = || {
        let requester = model.identity(REQUESTER)?;
        let backend = model.identity(target)?;
        if requester.1 == AGENT && backend.1 == wanted {
            Ok((requester, backend))
        } else {
            Err("another user's".to_owned().into())
        }
    };
    let target = Target {
        pid: target,
        handle: &handles.1,
        requester: &handles.0,
    };
    let answer = relocate(&model, IDLE, &target, examine).map(drop);
    (answer, model.0.into_inner())
}

/// Returns a running process in the wrong group. Only the target may be idle, and only after success.
fn misplaced(target: u32, answer: &Result<(), Denial>, host_state: &SimulatedHost) -> Option<Process> {
    let ours = host_state
        .processes
        .iter()
        .position(|process| process.pid == target);
    let is_wrong = |at: usize, process: &Process| {
        let moved = process.group != process.home || process.io_class != IoClass::NONE;
        // Children of the target itself are moved with it.
        let is_ours = Some(at) == ours || process.pid == CHILD;
        process.is_running && moved && !(is_ours && answer.is_ok())
    };
    let mut all = host_state.processes.iter().enumerate();
    all.find(|(at, process)| is_wrong(*at, process))
        .map(|(_, process)| process.clone())
}

/// Returns how many steps a move takes without events.
fn steps(target: u32) -> usize {
    let (answer, host_state) = run(target, &[], false);
    assert_eq!(answer, Ok(()));
    let moved = host_state.get(target).expect("it runs");
    assert_eq!((moved.group.as_str(), moved.io_class), (IDLE, IoClass::IDLE));
    host_state.steps
}

fn reuse(pid: u32) -> Event {
    Event::Reuse { pid, parent: 1 }
}

#[test]
fn reused_id_at_any_moment_moves_no_other_process() {
    for target in [REQUESTER, BACKEND] {
        let steps = steps(target);
        for at in 0..=steps {
            for event in [
                reuse(target),
                Event::End(target),
                reuse(REQUESTER),
                Event::End(REQUESTER),
            ] {
                let (answer, host_state) = run(target, &[(at, event)], false);
                // The requester must run until its backend is moved.
                if event == reuse(target) || event == Event::End(target) {
                    assert_eq!(answer.is_ok(), at == steps, "{event:?} at step {at}: {answer:?}");
                }
                assert_eq!(
                    misplaced(target, &answer, &host_state),
                    None,
                    "{event:?} at step {at}"
                );
            }
        }
    }
}

#[test]
fn id_reused_twice_moves_no_other_process() {
    // A repair takes steps too.
    let steps = steps(BACKEND) + 24;
    for first in 0..=steps {
        for second in first + 1..=steps {
            let to_another = Event::Reuse {
                pid: BACKEND,
                parent: 2,
            };
            let (answer, host_state) = run(BACKEND, &[(first, reuse(BACKEND)), (second, to_another)], false);
            assert_eq!(
                misplaced(BACKEND, &answer, &host_state),
                None,
                "at steps {first} and {second}"
            );
        }
    }
}

#[test]
fn fork_of_an_unrelated_process_is_moved_back_with_it() {
    let steps = steps(BACKEND) + 24;
    for first in 0..=steps {
        for second in first + 1..=steps {
            let events = [(first, reuse(BACKEND)), (second, Event::Fork(BACKEND))];
            let (answer, host_state) = run(BACKEND, &events, false);
            assert_eq!(
                misplaced(BACKEND, &answer, &host_state),
                None,
                "at steps {first} and {second}"
            );
        }
    }
}

#[test]
fn setuid_program_at_any_moment_is_moved_back() {
    let steps = steps(REQUESTER);
    let mut refused = 0;
    for at in 0..=steps {
        let (answer, host_state) = run(REQUESTER, &[(at, Event::Setuid(REQUESTER))], false);
        // After the second examination it runs as the moved requester, like a member of the group.
        refused += usize::from(answer.is_err());
        assert_eq!(misplaced(REQUESTER, &answer, &host_state), None, "at step {at}");
        for fork in at + 1..steps + 8 {
            let (answer, host_state) = run(
                REQUESTER,
                &[(at, Event::Setuid(REQUESTER)), (fork, Event::Fork(REQUESTER))],
                false,
            );
            assert_eq!(
                misplaced(REQUESTER, &answer, &host_state),
                None,
                "at steps {at} and {fork}"
            );
        }
    }
    assert!(refused > steps / 2, "{refused} of {steps}");
}

/// Validates the tests above: without working handles they find an unrelated process in the group.
#[test]
fn model_without_handles_finds_an_unrelated_process_moved() {
    for target in [REQUESTER, BACKEND] {
        let found = (0..=steps(target)).any(|at| {
            let (answer, host_state) = run(target, &[(at, reuse(target))], true);
            let stranger = host_state
                .processes
                .iter()
                .skip(5)
                .any(|process| process.group == IDLE);
            stranger && misplaced(target, &answer, &host_state).is_some()
        });
        assert!(found, "{target}");
    }
}

#[test]
fn failed_move_is_reported_and_leaves_the_group() {
    let (answer, host_state) = run(BACKEND, &[(0, Event::Setuid(REQUESTER))], false);
    assert_eq!(answer, Err("another user's".to_owned().into()));
    assert_eq!(host_state.get(BACKEND).expect("it runs").group, "/db");
}
