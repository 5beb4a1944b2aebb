//! SIGTERM and SIGINT: the first stops the helper in order, the second ends it at once.
//!
//! The operating system's handler does the second itself: a helper that hangs in a request must still obey it.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::exit::Exit;

/// Returns a stream that can be read after the first signal. A second signal ends the process with
/// [`Exit::Unfinished`].
///
/// # Errors
/// If the system does not let signals be handled.
pub fn on_signals() -> io::Result<UnixStream> {
    let (stop, wake) = UnixStream::pair()?;
    let is_stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // Handlers run in this order: the first signal finds the flag unset and sets it.
        flag::register_conditional_shutdown(
            signal,
            Exit::Unfinished.code().into(),
            Arc::clone(&is_stopping),
        )?;
        flag::register(signal, Arc::clone(&is_stopping))?;
        pipe::register(signal, wake.try_clone()?)?;
    }
    Ok(stop)
}
