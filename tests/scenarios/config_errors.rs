//! Configuration errors: what, where, the remedy, and nothing was changed.

use super::claims;
use super::files::{CLAIM, OPEN};
use super::site::Site;

async fn run_command(site: &Site, args: &[&str]) -> (Option<i32>, String) {
    let finished = site.command(args).await;
    (
        finished.status.code(),
        format!("{}{}", finished.stdout, finished.stderr),
    )
}

#[tokio::test]
async fn configuration_error_names_place_and_remedy() {
    let site = Site::start().await;
    claims::create(&site, 100).await;
    site.core
        .execute("CREATE TABLE secret (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL)")
        .await;
    let doctor = ["doctor", "--config", "s1.toml"];
    let check = ["config", "check", "--config", "s1.toml"];
    let secret = "SELECT id, updated_at, false AS deleted, '' AS name, 0.0 AS amount, '' AS memo FROM secret";
    let cases = [
        ("bad SQL", CLAIM.replace("FROM claim", "FRUM claim"), "syntax"),
        (
            "a missing table",
            CLAIM.replace("FROM claim", "FROM clam"),
            "clam",
        ),
        (
            "a cursor that is not unique",
            CLAIM.replace("[\"updated_at\", \"id\"]", "[\"updated_at\"]"),
            "not unique",
        ),
        (
            "a privilege too few",
            CLAIM.replace(
                "SELECT id, updated_at, deleted, name, amount, memo FROM claim",
                secret,
            ),
            "GRANT SELECT",
        ),
    ];
    for (what, feed, word) in cases {
        site.social("s1", &site.postgres_source(), OPEN, &feed);
        let (code, text) = run_command(&site, &doctor).await;
        assert_ne!(code, Some(0), "{what}: {text}");
        assert!(text.contains(word), "{what}: {text}");
    }
    site.social(
        "s1",
        &site.postgres_source(),
        OPEN,
        &CLAIM.replace("key =", "kee ="),
    );
    let (code, text) = run_command(&site, &check).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("kee") && text.contains("s1.toml:"),
        "an unknown key has file and line: {text}"
    );

    site.social("s1", &site.postgres_source(), OPEN, CLAIM);
    let file = std::fs::read_to_string(site.path("s1.toml")).unwrap();
    site.write(
        "s1.toml",
        &file.replace("keys/bureau/sign.seed", "keys/bureau/connect.seed"),
    );
    let (code, text) = run_command(&site, &["social", "check", "--config", "s1.toml"]).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("connection (user) key"), "{text}");
    let (_, findings) = site.verify().await;
    assert_eq!(findings["chunks"], 0, "something was published");
}
