//! Pages that the binary mounts next to the interface, such as the console. The gateway does not know them.

use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use tower::ServiceExt;

use crate::finish;
use crate::gateway::Gateway;

/// Pages below a path.
#[derive(Debug, Clone)]
pub struct Mounted {
    /// The path, such as `/console`; the routes of the router begin with it.
    pub path: &'static str,
    /// The routes.
    pub router: Router,
}

/// The interface, and the pages next to it.
#[derive(Debug, Clone)]
pub(crate) struct Routers {
    interface: Router,
    mounted: Option<Mounted>,
}

impl Routers {
    /// Surrounds mounted pages with the gateway's limits and measurements.
    pub(crate) fn new(interface: Router, mounted: Option<Mounted>, gateway: &Gateway) -> Self {
        let surround = |mounted: Mounted| Mounted {
            path: mounted.path,
            router: mounted.router.layer(middleware::from_fn_with_state(
                (gateway.clone(), mounted.path),
                measure,
            )),
        };
        Self {
            interface,
            mounted: mounted.map(surround),
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(self, request: Request) -> Response {
        let path = request.uri().path();
        let router = match self.mounted {
            Some(mounted) if is_below(path, mounted.path) => mounted.router,
            // A person who types only the address.
            Some(mounted) if path == "/" => return Redirect::to(mounted.path).into_response(),
            _ => self.interface,
        };
        match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// PURE: whether a path is a mount path or below it.
fn is_below(path: &str, mount: &str) -> bool {
    path.strip_prefix(mount)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Runs a request of a mounted page within the limits. A stream is not limited by the time of a request: its body is.
async fn measure(
    State((gateway, path)): State<(Gateway, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let held = gateway.metrics().in_flight();
    let method = request.method().clone();
    let response = finish::answer(&gateway, request, next).await;
    drop(held);
    let status = response.status().as_u16();
    gateway
        .metrics()
        .answered(path, &method, status, started.elapsed());
    finish::count_body(gateway, response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_pages_get_only_their_path() {
        for path in ["/console", "/console/", "/console/gate"] {
            assert!(is_below(path, "/console"), "{path}");
        }
        for path in ["/consoles", "/v1/console", "/", "/Console"] {
            assert!(!is_below(path, "/console"), "{path}");
        }
    }
}
