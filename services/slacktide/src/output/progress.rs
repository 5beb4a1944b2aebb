//! The progress of long work, on standard error: a bar on a terminal, now and then a line elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::stream::Stream;
use super::text::escape;

/// The minimum time between two lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How often the bar is redrawn without progress.
const TICK: Duration = Duration::from_millis(250);

/// The progress of one piece of work. Dropping it removes the bar.
pub(crate) struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    last: Instant,
}

impl Progress {
    /// Begins to show work. `what` names it and its unit, for example `messages read`; `total` is `None` if it is not known.
    pub(crate) fn new(what: &'static str, total: Option<u64>) -> Self {
        let bar = Stream::Error.is_redrawable().then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            let template = match total {
                Some(_) => "{wide_bar} {pos}/{len} {prefix} {msg} {per_sec}, {elapsed}, {eta} left",
                None => "{spinner} {pos} {prefix} {msg} {elapsed}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(what);
            bar.enable_steady_tick(TICK);
            bar
        });
        Self {
            what,
            bar,
            last: Instant::now(),
        }
    }

    /// Begins to show that work runs whose amount is not known. `what` names it, for example `creating the core`.
    pub(crate) fn wait(what: &'static str) -> Self {
        let progress = Self::new(what, None);
        if let Some(bar) = &progress.bar
            && let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}, {elapsed}")
        {
            bar.set_style(style);
        }
        progress
    }

    /// Shows how much is done. `message` describes more, or is empty.
    pub(crate) fn set(&mut self, done: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(escape(message).into_owned());
        } else if self.last.elapsed() >= LINE_INTERVAL {
            self.last = Instant::now();
            super::note(line(done, self.what, message).trim_end());
        }
    }
}

fn line(done: u64, what: &str, message: &str) -> String {
    format!(
        "{done} {what}{}{message}",
        if message.is_empty() { "" } else { ", " }
    )
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_line_names_count_work_and_details() {
        assert_eq!(line(7, "messages read", ""), "7 messages read");
        assert_eq!(line(7, "chunks read", "2 stored"), "7 chunks read, 2 stored");
    }
}
