use super::*;

const SECRET: &str = "hush";

fn refused(text: &str) -> UrlError {
    Url::parse(text).expect_err(text)
}

#[test]
fn url_tls_parameters_are_read_in_both_forms() {
    for text in [
        "postgres://u:hush@db/core?sslmode=verify-ca&sslrootcert=/etc/ca%20one.pem&sslcert=c.pem&sslkey=k.pem&application_name=x",
        "host=db user=u password=hush dbname=core sslmode = verify-ca sslrootcert='/etc/ca one.pem' sslcert=c.pem sslkey=k.pem",
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!(url.tls.mode, Some(SslMode::VerifyCa));
        assert!(url.tls.roots == Roots::File("/etc/ca one.pem".into()));
        assert_eq!(url.tls.client, Some(("c.pem".into(), "k.pem".into())));
        assert_eq!(url.user(), Some("u"));
        assert_eq!(url.wire.get_password(), Some(SECRET.as_bytes()));
        assert_eq!(url.wire.get_dbname(), Some("core"));
        assert_eq!(format!("{url:?}"), "Url(not shown)");
    }
}

#[test]
fn url_as_hosting_services_show_it_is_read() {
    let pasted = "postgresql://u:hush@ep-1.eu.example.org/core?sslmode=require&channel_binding=require&keepalives_count=3";
    let url = Url::parse(pasted).unwrap();
    assert_eq!(url.wire.get_channel_binding(), ChannelBinding::Require);
    assert_eq!(url.wire.get_keepalives_retries(), Some(3));
    let system = Url::parse("postgres://u@db/core?sslrootcert=system").unwrap();
    assert!(system.tls.roots == Roots::System && system.asks_for_tls());
    let empty = Url::parse("postgres://u@db/core?sslmode=&sslrootcert=").unwrap();
    assert!(empty.tls.mode.is_none() && !empty.asks_for_tls());
}

/// An unescaped character moves a part of the password to where a parameter's name, value or a host belongs.
#[test]
fn url_errors_repeat_nothing_of_the_url() {
    let cases = [
        ("postgres://u:p@ss?hush=1@db/core", UrlError::Unknown(1)),
        (
            "postgres://u:p@db/core?sslmode=require&hush",
            UrlError::Unknown(2),
        ),
        (
            "postgres://u:p@db/core?hush=1&sslmode=require",
            UrlError::Unknown(1),
        ),
        (
            "postgres://u:p@db/core?sslmode=hush",
            UrlError::Value("sslmode", "disable, prefer, require, verify-ca or verify-full"),
        ),
        ("postgres://u:p@db:hush/core", UrlError::Unreadable),
        ("mysql://u:hush@db/core", UrlError::Unreadable),
        ("hush", UrlError::Unreadable),
        ("host=db hush=1", UrlError::Unknown(2)),
        ("host=db password='hush", UrlError::Unreadable),
        ("postgres://u:p@db/core\nhush", UrlError::SeveralLines),
        ("postgres://u:hush@db/core\r\nx", UrlError::SeveralLines),
        ("postgres://u:hush@/core", UrlError::NoHost),
        ("postgres://u:hush@a,b/core?hostaddr=10.0.0.1", UrlError::Counts),
        ("postgres://u:hush@db/core?hostaddr=hush", UrlError::Unreadable),
        ("postgres://u:p@db/core?sslcert=hush", UrlError::HalfCertificate),
        ("postgres://u:p@db/core?sslkey=hush", UrlError::HalfCertificate),
        (
            "postgres://u:p@db/core?sslmode=disable&sslmode=require",
            UrlError::Twice("sslmode"),
        ),
        ("", UrlError::Empty),
        (" ", UrlError::Empty),
    ];
    for (text, expected) in cases {
        let error = refused(text);
        assert_eq!(error, expected, "{text}");
        let shown = format!("{error} {error:?} {}", error.remedy());
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn url_parameter_of_libpq_is_named_with_what_to_do() {
    for (name, _) in UNSUPPORTED {
        let error = refused(&format!("postgres://u:p@db/core?{name}=1"));
        assert!(error.to_string().contains(name), "{error}");
        assert!(!error.remedy().is_empty());
    }
}

#[test]
fn url_weak_combinations_are_refused_as_libpq_does() {
    for (query, word) in [
        ("sslmode=verify-ca", "sslrootcert"),
        ("sslmode=verify-ca&sslrootcert=system", "verify-full"),
        ("sslmode=require&sslrootcert=system", "verify-full"),
        ("sslmode=disable&sslrootcert=system", "verify-full"),
        ("sslmode=prefer&sslnegotiation=direct", "require"),
        ("sslmode=disable&channel_binding=require", "require"),
    ] {
        let error = refused(&format!("postgres://u@db/core?{query}"));
        assert!(
            matches!(error, UrlError::Together(_, second) if second.contains(word)),
            "{error}"
        );
    }
}

#[test]
fn url_files_are_anchored_at_the_configuration() {
    let folder = Path::new("/etc/slack tide");
    for (text, expected) in [
        (
            "postgres://u:h%40@db/core?sslrootcert=ca.pem&sslcert=/abs/c.pem&sslkey=k%26.pem",
            "postgres://u:h%40@db/core?sslrootcert=/etc/slack%20tide/ca.pem&sslcert=/abs/c.pem&sslkey=/etc/slack%20tide/k%26.pem",
        ),
        (
            "postgres://u@db/core?sslrootcert=system",
            "postgres://u@db/core?sslrootcert=system",
        ),
        ("postgres://u@db/core", "postgres://u@db/core"),
        (
            "host=db sslrootcert='ca\\'s.pem'",
            "host='db' sslrootcert='/etc/slack tide/ca\\'s.pem'",
        ),
    ] {
        let anchored = Url::anchored(text, folder).unwrap();
        assert_eq!(anchored, expected);
        assert_eq!(Url::anchored(&anchored, Path::new("/other")).unwrap(), anchored);
    }
}
