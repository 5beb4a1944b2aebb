//! PURE: a connection string as its head and its parameters. Where the parameters begin is decided as the driver does.

use super::UrlError;

/// A connection string taken apart.
pub(super) struct Text {
    pub(super) form: Form,
    /// All before the parameters.
    head: String,
    pub(super) pairs: Vec<Pair>,
}

/// The two ways to write one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `postgres://…?key=value&…`
    Url,
    /// `key=value …`
    Keywords,
}

/// One parameter.
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) value: String,
    /// As it is written.
    raw: String,
    form: Form,
}

impl Pair {
    /// The same value under another name.
    pub(super) fn renamed(self, key: &str) -> Self {
        self.form.pair(key, &self.value)
    }
}

impl Form {
    /// A parameter, written.
    pub(super) fn pair(self, key: &str, value: &str) -> Pair {
        let raw = match self {
            Self::Url => format!("{key}={}", encoded(value)),
            Self::Keywords => {
                let escaped = value.replace('\\', "\\\\").replace('\'', "\\'");
                format!("{key}='{escaped}'")
            }
        };
        Pair {
            key: key.to_owned(),
            value: value.to_owned(),
            raw,
            form: self,
        }
    }
}

impl Text {
    pub(super) fn read(text: &str) -> Result<Self, UrlError> {
        if text.trim().is_empty() {
            return Err(UrlError::Empty);
        }
        if text.contains(['\n', '\r']) {
            return Err(UrlError::SeveralLines);
        }
        let scheme = ["postgres://", "postgresql://"]
            .into_iter()
            .find(|scheme| text.starts_with(scheme));
        let Some(scheme) = scheme else {
            return Ok(Self {
                form: Form::Keywords,
                head: String::new(),
                pairs: keywords(text)?,
            });
        };
        // The first `@` ends the credentials; the query begins at the first `?` behind it.
        let behind = &text[scheme.len()..];
        let host = behind.find('@').map_or(0, |at| at + 1);
        let query = behind[host..].find('?').map(|at| scheme.len() + host + at);
        let (head, query) = match query {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, ""),
        };
        let mut pairs = Vec::new();
        for raw in query.split('&').filter(|raw| !raw.is_empty()) {
            let (key, value) = raw.split_once('=').ok_or(UrlError::Unknown(pairs.len() + 1))?;
            pairs.push(Pair {
                key: decoded(key)?,
                value: decoded(value)?,
                raw: raw.to_owned(),
                form: Form::Url,
            });
        }
        Ok(Self {
            form: Form::Url,
            head: head.to_owned(),
            pairs,
        })
    }

    /// Written again.
    pub(super) fn joined(&self) -> String {
        let raw: Vec<&str> = self.pairs.iter().map(|pair| pair.raw.as_str()).collect();
        match self.form {
            Form::Keywords => raw.join(" "),
            Form::Url if raw.is_empty() => self.head.clone(),
            Form::Url => format!("{}?{}", self.head, raw.join("&")),
        }
    }
}

/// `key = value` pairs; a value may stand in quotes, and a backslash escapes.
fn keywords(text: &str) -> Result<Vec<Pair>, UrlError> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=').ok_or(UrlError::Unreadable)?;
        let (key, behind) = (key.trim(), behind.trim_start());
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(UrlError::Unreadable);
        }
        let (value, behind) = value(behind)?;
        pairs.push(Form::Keywords.pair(key, &value));
        rest = behind.trim_start();
    }
    Ok(pairs)
}

fn value(text: &str) -> Result<(String, &str), UrlError> {
    let (quoted, text) = match text.strip_prefix('\'') {
        Some(behind) => (true, behind),
        None => (false, text),
    };
    let mut value = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            '\\' => value.push(signs.next().ok_or(UrlError::Unreadable)?.1),
            sign if !quoted && sign.is_whitespace() => return Ok((value, &text[at..])),
            sign => value.push(sign),
        }
    }
    if quoted {
        return Err(UrlError::Unreadable);
    }
    Ok((value, ""))
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| Some((hex(*behind.first()?)?, hex(*behind.get(1)?)?)))
            .flatten();
        match escaped {
            Some((high, low)) => {
                bytes.push(high * 16 + low);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Unreadable)
}

fn hex(sign: u8) -> Option<u8> {
    let digit = char::from(sign).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
