//! The stream of a page: its live part, sent when it differs from the last one.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::console::Console;
use crate::page_id::PageId;
use crate::pages;
use crate::viewer::Viewer;

/// How soon a browser connects again.
const RETRY: Duration = Duration::from_secs(2);

/// How often an idle stream is shown to be open.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Answers with the stream of a page.
pub(crate) async fn show(
    State(console): State<Console>,
    Path(name): Path<String>,
    viewer: Viewer,
) -> Response {
    let Some(page) = PageId::parse(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(place) = Place::take(&console, viewer.key) else {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    let limits = &console.site().limits;
    let mut tick = interval(limits.interval.max(Duration::from_millis(10)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let follower = Follower {
        page,
        viewer,
        place,
        tick,
        ticks: 0,
        last: String::new(),
        is_ended: false,
    };
    // An event and not a comment: the script sees it and shows a stream that became silent as lost.
    let alive = Event::default().event("alive").data("1");
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).event(alive);
    let mut response = Sse::new(follower.events()).keep_alive(keep_alive).into_response();
    // A proxy that collects a response before it passes it on would stop the stream.
    let no_buffering = axum::http::HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", no_buffering);
    response
}

/// One of the streams of a session, returned when it is dropped.
struct Place {
    console: Console,
    key: [u8; 32],
}

impl Place {
    fn take(console: &Console, key: [u8; 32]) -> Option<Self> {
        let is_taken = console.sessions().take_stream(&key, &console.site().limits);
        is_taken.then(|| Self {
            console: console.clone(),
            key,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.console.sessions().return_stream(&self.key);
    }
}

struct Follower {
    page: PageId,
    viewer: Viewer,
    place: Place,
    tick: Interval,
    ticks: u32,
    last: String,
    is_ended: bool,
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut follower| {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    /// Waits for the next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        if self.is_ended {
            return None;
        }
        loop {
            tokio::select! {
                () = self.place.console.site().stop.cancelled() => return None,
                _ = self.tick.tick() => {}
            }
            // A viewer's open page counts as a use, an operator's does not: a screen on a wall shows the pages of a viewer.
            let is_use = !self.viewer.context.is_operator();
            let certificate = self.viewer.certificate.as_ref();
            let session = self.place.console.session(&self.place.key, certificate, is_use);
            let Some((_, role)) = session else {
                self.is_ended = true;
                return Some(Event::default().event("end").data("session"));
            };
            self.viewer.context.role = role;
            if self.page.is_of_agents() {
                self.viewer.access.watch().await;
            }
            let is_due = self.ticks.is_multiple_of(self.page.every());
            self.ticks = self.ticks.wrapping_add(1);
            if !is_due {
                continue;
            }
            let now = self.place.console.now();
            (self.viewer.context.now, self.viewer.context.display.now) = (now, now);
            let body = pages::show(self.page, &self.viewer.access, &self.viewer.context).await;
            if body.live == self.last {
                continue;
            }
            self.last = body.live;
            return Some(Event::default().event("live").retry(RETRY).data(&self.last));
        }
    }
}
