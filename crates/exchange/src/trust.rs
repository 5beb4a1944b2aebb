//! PURE: detects certificate errors in a client's error texts.
//!
//! A transport's client returns its TLS library's error as text. The exchange reports an error of the agent's certificate as a
//! TLS alert, often after the connection seems to be established.

use std::fmt;

/// A certificate error that a retry does not resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The exchange's certificate has expired.
    ServerExpired,
    /// The exchange's certificate is not valid yet.
    ServerTooEarly,
    /// The exchange's certificate is signed by another authority.
    ServerUntrusted,
    /// The exchange's certificate is for another name.
    ServerName,
    /// The agent's certificate has expired.
    OursExpired,
    /// The agent's certificate is signed by an authority that the exchange does not trust.
    OursUntrusted,
    /// The exchange requires a client certificate, and none is configured.
    OursMissing,
    /// The exchange refuses the agent's certificate for another reason.
    OursRefused,
    /// A configured file cannot be used.
    File,
    /// The server does not use TLS.
    NotTls,
}

impl Fault {
    /// Returns the certificate error in a connection error, or `None` for other causes.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let has = |part: &str| text.contains(part);
        let fault = if has("received fatal alert") {
            let alert = text
                .split("received fatal alert")
                .nth(1)
                .unwrap_or_default()
                .to_lowercase();
            let has_alert = |word: &str| alert.replace([' ', '_'], "").contains(word);
            match () {
                () if has_alert("certificateexpired") => Self::OursExpired,
                () if has_alert("unknownca") => Self::OursUntrusted,
                () if has_alert("certificaterequired") => Self::OursMissing,
                () if has_alert("certificate") => Self::OursRefused,
                // Another authority of the same name: the signature does not match.
                () if has_alert("decrypterror") => Self::OursUntrusted,
                () => return None,
            }
        } else if has("invalid peer certificate") {
            match () {
                () if has("xpired") => Self::ServerExpired,
                () if has("NotValidYet") || has("not valid yet") => Self::ServerTooEarly,
                () if has("NotValidForName") || has("not valid for name") => Self::ServerName,
                () => Self::ServerUntrusted,
            }
        } else if has("could not load")
            || has("could not add certificate")
            || has("found certificate, but no key")
        {
            Self::File
        } else if has("tls not supported") || has("InvalidContentType") || has("corrupt message") {
            Self::NotTls
        } else {
            return None;
        };
        Some(fault)
    }
}

impl Fault {
    /// Returns the cause and the remedy.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::ServerExpired => {
                "its certificate has expired: renew it there (`slacktide keys renew` at a test site)"
            }
            Self::ServerTooEarly => "its certificate is not valid yet: compare the clocks of both machines",
            Self::ServerUntrusted => {
                "its certificate is not signed by an authority in [exchange] tls.ca: take the authority's file from the site"
            }
            Self::ServerName => {
                "its certificate is for another name: connect by a name in it, or issue one for this name"
            }
            Self::OursExpired => "our certificate has expired: renew [exchange] tls.cert",
            Self::OursUntrusted => {
                "our certificate is not signed by an authority that the exchange trusts: have it signed by the site's, or add ours to SLACKTIDE_TLS_CA"
            }
            Self::OursMissing => "it asks for a certificate of ours: set [exchange] tls.cert and tls.key",
            Self::OursRefused => {
                "it refuses our certificate: compare [exchange] tls.cert with the site's authority"
            }
            Self::File => {
                "a file of [exchange] tls is not PEM, or certificate and key do not belong together"
            }
            Self::NotTls => {
                "the server does not use TLS: enable it there (server.conf, gateway.toml), or remove [exchange] tls"
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_fault_is_detected_by_the_library_text() {
        for (text, fault) in [
            (
                "IO error: invalid peer certificate: Expired",
                Fault::ServerExpired,
            ),
            (
                "IO error: invalid peer certificate: certificate expired: verification time 5 (UNIX), but certificate is not valid after 4 (1 seconds ago)",
                Fault::ServerExpired,
            ),
            (
                "IO error: invalid peer certificate: UnknownIssuer",
                Fault::ServerUntrusted,
            ),
            (
                "IO error: invalid peer certificate: certificate not valid for name \"localhost\"; certificate is only valid for DnsName(\"a\")",
                Fault::ServerName,
            ),
            (
                "IO error: received fatal alert: CertificateExpired",
                Fault::OursExpired,
            ),
            ("IO error: received fatal alert: UnknownCA", Fault::OursUntrusted),
            (
                "IO error: received fatal alert: the server sent certificate_required",
                Fault::OursMissing,
            ),
            (
                "IO error: received fatal alert: BadCertificate",
                Fault::OursRefused,
            ),
            (
                "IO error: received fatal alert: DecryptError",
                Fault::OursUntrusted,
            ),
            (
                "TLS error: could not load private key: no items found",
                Fault::File,
            ),
        ] {
            assert_eq!(Fault::of(text), Some(fault), "{text}");
        }
        assert_eq!(Fault::of("IO error: connection refused"), None);
        assert_eq!(Fault::of("authorization violation"), None);
    }
}
