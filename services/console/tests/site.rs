//! A console with the bureau, an insurer and an auditor, and a browser for it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Extensions, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use console::site::Limits;
use console::{Authentication, ConsoleRole, Credential, Identity, Party, PartyRole, Site, router};
use exchange::StatusExchange;
use exchange_testing::memory::Memory;
use http_body_util::BodyExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemas::envelope::Envelope;
use schemas::name::{PartyName, RecipientName};
use schemas::sign::SigningKey;
use schemas::status_report::{AgentRole, StatusReport};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) fn party(name: &str) -> PartyName {
    PartyName::new(name).unwrap()
}

/// Tokens by their text. A test revokes one by removing it.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<String, Identity>>);

/// The party of a client certificate, as an extension of a request.
#[derive(Clone)]
pub(crate) struct Presented(pub(crate) &'static str);

impl Tokens {
    pub(crate) fn add(&self, token: &str, of: &str, role: Option<ConsoleRole>) {
        let identity = Identity {
            credential: Credential::Token(format!("id-of-{token}")),
            party: party(of),
            role,
            expires_at: Timestamp::MAX,
        };
        self.0.lock().unwrap().insert(token.to_owned(), identity);
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.0.lock().unwrap().remove(token);
    }
}

impl Authentication for Tokens {
    fn by_token(&self, bearer: &str, _now: Timestamp) -> Option<Identity> {
        self.0.lock().unwrap().get(bearer).cloned()
    }

    fn by_certificate(&self, extensions: &Extensions, _now: Timestamp) -> Option<Identity> {
        let Presented(name) = extensions.get::<Presented>()?;
        Some(Identity {
            credential: Credential::Certificate(party(name)),
            party: party(name),
            role: Some(ConsoleRole::Viewer),
            expires_at: Timestamp::MAX,
        })
    }

    fn token(&self, id: &str, now: Timestamp) -> Option<Identity> {
        self.by_token(id.strip_prefix("id-of-")?, now)
    }

    fn note_authenticated(&self, _extensions: &Extensions) {}

    fn peer(&self, _extensions: &Extensions) -> Option<IpAddr> {
        Some([192, 0, 2, 1].into())
    }
}

pub(crate) struct TestSite {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) exchange: Arc<Memory>,
    pub(crate) key: SigningKey,
    pub(crate) stop: CancellationToken,
    pub(crate) router: Router,
}

impl TestSite {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), false)
    }

    pub(crate) fn with(limits: Limits, is_secure: bool) -> Self {
        let exchange = Arc::new(Memory::new(&[RecipientName::new("insurer-a").unwrap()]));
        let tokens = Arc::new(Tokens::default());
        let key = SigningKey::generate();
        let stop = CancellationToken::new();
        for (name, role) in [
            ("viewer", ConsoleRole::Viewer),
            ("operator", ConsoleRole::Operator),
        ] {
            tokens.add(name, "bureau", Some(role));
        }
        tokens.add("insurer", "insurer-a", Some(ConsoleRole::Operator));
        tokens.add("interface", "bureau", None);
        let access = |role| Party {
            role,
            exchange: exchange.clone(),
        };
        let site = Site {
            parties: BTreeMap::from([
                (party("bureau"), access(PartyRole::Bureau)),
                (party("insurer-a"), access(PartyRole::Recipient)),
            ]),
            trust: BTreeMap::from([(party("bureau"), vec![key.public().clone()])]),
            bureau: party("bureau"),
            authentication: tokens.clone(),
            is_secure,
            zone: TimeZone::UTC,
            version: "0.0.0",
            clock: Timestamp::now,
            machine: None,
            limits,
            stop: stop.clone(),
        };
        Self {
            tokens,
            exchange,
            key,
            stop,
            router: router(site),
        }
    }

    /// Publishes a report of an agent of the bureau, made at a time.
    pub(crate) async fn report(&self, of: &str, page: &serde_json::Value, at: Timestamp, key: &SigningKey) {
        let report = StatusReport {
            party: party(of),
            writer: party("agent"),
            role: AgentRole::Social,
            instance: "one".to_owned(),
            at,
            next_within_s: 15,
            page: page.to_string(),
            history: Vec::new(),
            key: key.public().clone(),
        };
        let bytes = Envelope::sign(&report, Vec::new(), key)
            .unwrap()
            .encode()
            .unwrap();
        let (party, writer) = (party(of), party("agent"));
        let published = self.exchange.publish_status(&party, &writer, bytes.into());
        published.await.unwrap();
    }
}

/// A browser: keeps cookies.
#[derive(Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) language: &'static str,
    pub(crate) certificate: Option<&'static str>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the token of the form with this id.
    pub(crate) fn csrf(&self, form: &str) -> String {
        let start = self
            .text
            .find(&format!("id=\"{form}\""))
            .unwrap_or_else(|| panic!("no form {form}: {}", self.text));
        let rest = &self.text[start..];
        let value = rest.split_once("name=\"csrf\" value=\"").unwrap().1;
        value.split('"').next().unwrap().to_owned()
    }
}

impl Browser {
    fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "console")
            .header(header::COOKIE, cookies.join("; "))
            .header(header::ACCEPT_LANGUAGE, self.language);
        if let Some(name) = self.certificate {
            request = request.extension(Presented(name));
        }
        request
    }

    fn keep(&mut self, response: &Response) {
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Sends a request and returns the response without reading its body.
    pub(crate) async fn open(&mut self, site: &TestSite, path: &str) -> Response {
        let request = self.request("GET", path).body(Body::empty()).unwrap();
        let response = site.router.clone().oneshot(request).await.unwrap();
        self.keep(&response);
        response
    }

    pub(crate) async fn get(&mut self, site: &TestSite, path: &str) -> Page {
        page(self.open(site, path).await).await
    }

    pub(crate) async fn post(&mut self, site: &TestSite, path: &str, form: &[(&str, &str)]) -> Page {
        let encoded: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let request = self
            .request("POST", path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(Body::from(encoded.join("&")))
            .unwrap();
        let response = site.router.clone().oneshot(request).await.unwrap();
        self.keep(&response);
        page(response).await
    }

    /// Logs in with a token and returns the response.
    pub(crate) async fn login(&mut self, site: &TestSite, token: &str) -> Page {
        let form = self.get(site, "/console/login").await;
        let csrf = form.csrf("login-token");
        self.post(site, "/console/login", &[("csrf", &csrf), ("token", token)])
            .await
    }

    /// Returns a browser with a session.
    pub(crate) async fn of(site: &TestSite, token: &str) -> Self {
        let mut browser = Self::default();
        let response = browser.login(site, token).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{response:?}");
        browser
    }
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn page(response: Response) -> Page {
    let (parts, body) = response.into_parts();
    let bytes: Bytes = body.collect().await.unwrap().to_bytes();
    Page {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}
