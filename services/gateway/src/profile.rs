//! The profile of a reader without an agent: one JSON file with everything that it needs.

use std::fmt;

use jiff::Timestamp;
use schemas::name::RecipientName;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

/// The version of the file's format.
pub const VERSION: u32 = 1;

/// The file. It contains a token: only its owner may read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// [`VERSION`].
    pub version: u32,
    /// The address of the gateway, without a path.
    pub endpoint: String,
    /// The recipient that the token belongs to.
    pub recipient: RecipientName,
    /// The bearer token.
    pub token: String,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// The authorities of the gateway's certificate, PEM; without it, those of the reader's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The keys that sign chunks and answers.
    pub trust: Trust,
}

/// The trusted keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// Publishers of chunks.
    pub chunks: Vec<PublicKey>,
    /// Responders to requests.
    pub replies: Vec<PublicKey>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("endpoint", &self.endpoint)
            .field("recipient", &self.recipient)
            .field("token", &"(hidden)")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Checks the address of a gateway: a token must not cross a network in clear text.
///
/// # Errors
/// What is wrong with it, and the remedy.
pub fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let is_loopback = |host: &str| {
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        matches!(host, "127.0.0.1" | "localhost" | "[::1]")
    };
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let has_path = rest.contains(['/', '?', '#', '@']) || rest.is_empty();
    match scheme {
        _ if has_path => Err(format!("{endpoint:?} is not https://HOST:PORT without a path")),
        "https" => Ok(()),
        "http" if is_loopback(rest) => Ok(()),
        "http" => Err(format!(
            "{endpoint:?} would send the token in clear text over a network; use https"
        )),
        _ => Err(format!("{endpoint:?} is not https://HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_endpoint_is_https_or_this_host() {
        for good in [
            "https://gateway.example:8443",
            "http://127.0.0.1:8080",
            "http://[::1]:1",
        ] {
            assert_eq!(check_endpoint(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "gateway.example",
            "http://gateway.example",
            "https://",
            "https://gateway.example/v1",
            "https://a@b",
            "ftp://a",
        ] {
            assert!(check_endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn profile_debug_output_hides_the_token() {
        let profile = Profile {
            version: VERSION,
            endpoint: "https://gateway.example".to_owned(),
            recipient: RecipientName::new("insurer-a").unwrap(),
            token: "stg_secret".to_owned(),
            expires_at: Timestamp::UNIX_EPOCH,
            ca: None,
            trust: Trust::default(),
        };
        assert!(!format!("{profile:?}").contains("stg_secret"));
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
    }
}
