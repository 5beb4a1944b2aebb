//! PURE: what is wrong with a certificate, told from what the client says.
//!
//! The client gives its TLS library's words as text. What the exchange found wrong with ours comes
//! as an alert, often when the connection seems to stand already.

use std::fmt;

/// Something about a certificate that waiting does not mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The exchange's is over.
    ServerExpired,
    /// The exchange's is not valid yet.
    ServerTooEarly,
    /// The exchange's is signed by somebody else.
    ServerUntrusted,
    /// The exchange's is for another name.
    ServerName,
    /// Ours is over.
    OursExpired,
    /// Ours is signed by somebody that the exchange does not trust.
    OursUntrusted,
    /// The exchange asks for ours, and there is none.
    OursMissing,
    /// The exchange does not take ours, for another reason.
    OursRefused,
    /// A file of ours cannot be used.
    File,
    /// Nobody speaks TLS there.
    NotTls,
}

impl Fault {
    /// What a connection failed for; none when it is nothing about certificates.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let has = |part: &str| text.contains(part);
        let fault = if has("received fatal alert") {
            let alert = text
                .split("received fatal alert")
                .nth(1)
                .unwrap_or_default()
                .to_lowercase();
            let says = |word: &str| alert.replace([' ', '_'], "").contains(word);
            match () {
                () if says("certificateexpired") => Self::OursExpired,
                () if says("unknownca") => Self::OursUntrusted,
                () if says("certificaterequired") => Self::OursMissing,
                () if says("certificate") => Self::OursRefused,
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
    /// What it is and what to do.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::ServerExpired => {
                "its certificate has expired: renew it there (`slacktide keys renew` at a test site)"
            }
            Self::ServerTooEarly => "its certificate is not valid yet: compare the clocks of both machines",
            Self::ServerUntrusted => {
                "its certificate is not signed by an authority in [exchange] tls.ca: take the authority's file from the site"
            }
            Self::ServerName => {
                "its certificate is for another name: connect by a name that stands in it, or have one made for this name"
            }
            Self::OursExpired => "our certificate has expired: renew [exchange] tls.cert",
            Self::OursUntrusted => {
                "our certificate is not signed by an authority that the exchange trusts: have it signed by the site's, or add ours to SLACKTIDE_TLS_CA"
            }
            Self::OursMissing => "it asks for a certificate of ours: set [exchange] tls.cert and tls.key",
            Self::OursRefused => {
                "it refuses our certificate: compare [exchange] tls.cert with the site's authority"
            }
            Self::File => "a file of [exchange] tls is no PEM, or certificate and key do not belong together",
            Self::NotTls => {
                "nobody speaks TLS there: switch it on in server.conf, or take [exchange] tls away"
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.told())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_told_by_the_librarys_words() {
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
