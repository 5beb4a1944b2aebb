//! PURE: the cookies. All are HttpOnly and SameSite=Strict, and Secure where TLS is used.

use axum::http::{HeaderMap, HeaderValue, header};

/// A cookie of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// The id of the session.
    Session,
    /// The secret of the forms before a login.
    Visitor,
    /// The language.
    Language,
    /// The theme.
    Theme,
}

impl Cookie {
    fn name(self, is_secure: bool) -> &'static str {
        // A name with the prefix is accepted by browsers only with Secure, for this host alone.
        match (self, is_secure) {
            (Self::Session, true) => "__Host-slacktide-session",
            (Self::Session, false) => "slacktide-session",
            (Self::Visitor, true) => "__Host-slacktide-visitor",
            (Self::Visitor, false) => "slacktide-visitor",
            (Self::Language, true) => "__Host-slacktide-language",
            (Self::Language, false) => "slacktide-language",
            (Self::Theme, true) => "__Host-slacktide-theme",
            (Self::Theme, false) => "slacktide-theme",
        }
    }

    /// Returns the value that a request has; `None` also if it has several.
    pub(crate) fn read(self, headers: &HeaderMap, is_secure: bool) -> Option<&str> {
        let name = self.name(is_secure);
        let values = headers.get_all(header::COOKIE).iter();
        let pairs = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        let mut found = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key.trim() == name).then(|| value.trim())
        });
        found.next().filter(|_| found.next().is_none())
    }

    /// Returns the header that sets it, for `max_age` seconds; without, until the browser ends.
    pub(crate) fn set(self, value: &str, max_age: Option<u64>, is_secure: bool) -> HeaderValue {
        let mut text = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Strict",
            self.name(is_secure)
        );
        if is_secure {
            text.push_str("; Secure");
        }
        if let Some(max_age) = max_age {
            text.push_str(&format!("; Max-Age={max_age}"));
        }
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Returns the header that removes it.
    pub(crate) fn remove(self, is_secure: bool) -> HeaderValue {
        self.set("", Some(0), is_secure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_has_every_protection() {
        let secure = Cookie::Session.set("v", None, true);
        assert_eq!(
            secure.to_str().unwrap(),
            "__Host-slacktide-session=v; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        let clear = Cookie::Session.set("v", Some(5), false);
        assert_eq!(
            clear.to_str().unwrap(),
            "slacktide-session=v; Path=/; HttpOnly; SameSite=Strict; Max-Age=5"
        );
    }

    #[test]
    fn cookie_that_is_given_twice_is_not_read() {
        let headers =
            |text: &'static str| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))]);
        let read = |text| Cookie::Session.read(&headers(text), false).map(str::to_owned);
        assert_eq!(read("a=b; slacktide-session=v"), Some("v".to_owned()));
        assert_eq!(read("slacktide-session=v; slacktide-session=w"), None);
        assert_eq!(read("xslacktide-session=v"), None);
        assert_eq!(Cookie::Session.read(&headers("slacktide-session=v"), true), None);
    }
}
