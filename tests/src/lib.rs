//! The flow under test: real servers, faults, simulation.
