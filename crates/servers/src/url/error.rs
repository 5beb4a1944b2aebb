//! Errors of connection strings.

use std::fmt;

/// An invalid connection string. The error never contains its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// There is no text.
    Empty,
    /// There is more than one line.
    SeveralLines,
    /// It has not the form of a connection string.
    Unreadable,
    /// It names no server.
    NoHost,
    /// It has not as many addresses or ports as hosts.
    Counts,
    /// The parameter at this place, counted from 1, is not known.
    Unknown(usize),
    /// libpq knows the parameter; what to do instead.
    Unsupported(&'static str, &'static str),
    /// The parameter is there more than once.
    Twice(&'static str),
    /// The parameter has a value that it does not take; what it takes.
    Value(&'static str, &'static str),
    /// The first needs the second.
    Together(&'static str, &'static str),
    /// There is a certificate without a key, or the reverse.
    HalfCertificate,
}

impl UrlError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Empty | Self::Unreadable | Self::NoHost => {
                "write postgres://user:password@host:port/database, with characters such as @ / ? # & in the password \
                 percent-encoded"
            }
            Self::SeveralLines => "leave only the URL in it, in one line; a file may end with a line end",
            Self::Counts => "give as many addresses and ports as hosts, or one port for all",
            Self::Unknown(_) => {
                "correct its name; known are sslmode, sslrootcert, sslcert, sslkey, sslnegotiation, channel_binding, \
                 ssl_min_protocol_version, user, password, dbname, host, hostaddr, port, options, application_name, \
                 connect_timeout, tcp_user_timeout, keepalives, keepalives_idle, keepalives_interval, keepalives_count, \
                 target_session_attrs and load_balance_hosts; percent-encode ? and & in a password"
            }
            Self::Unsupported(_, instead) => instead,
            Self::Twice(_) => "leave one of them",
            Self::Value(..) => "correct the value",
            Self::Together(..) => "write both, or neither",
            Self::HalfCertificate => "give both sslcert and sslkey, or neither",
        }
    }
}

/// What is wrong, without the remedy.
impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the URL is empty"),
            Self::SeveralLines => f.write_str("the URL has more than one line"),
            Self::Unreadable => f.write_str("the URL cannot be read"),
            Self::NoHost => f.write_str("the URL names no host"),
            Self::Counts => f.write_str("the URL has not as many addresses or ports as hosts"),
            Self::Unknown(place) => write!(f, "parameter {place} of the URL is not known"),
            Self::Unsupported(name, _) => write!(f, "the URL's parameter {name} is not supported"),
            Self::Twice(name) => write!(f, "the URL has the parameter {name} more than once"),
            Self::Value(name, takes) => write!(f, "the URL's parameter {name} takes {takes}"),
            Self::Together(first, second) => write!(f, "the URL's {first} needs {second}"),
            Self::HalfCertificate => {
                f.write_str("the URL has a client certificate without its key, or the reverse")
            }
        }
    }
}

impl std::error::Error for UrlError {}
