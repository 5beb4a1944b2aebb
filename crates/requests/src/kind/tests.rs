use super::*;
use crate::sample::{self, kinds as config};

#[test]
fn kind_with_every_setting_is_valid() {
    let kinds = config(sample::KIND).unwrap();
    let kind = kinds.get("setl.by_person").unwrap();
    assert_eq!(
        (kind.period(), kind.config().priority),
        (Some((1, 2)), Priority::Normal)
    );
    assert!(kind.grant_of(&"insurer-a".parse().unwrap()).is_some());
    assert!(kind.grant_of(&"insurer-b".parse().unwrap()).is_none());
    assert_eq!(kinds.iter().count(), 1);
}

#[test]
fn kind_mistake_is_refused_with_its_remedy() {
    for (from, to, wanted) in [
        ("setl.by_person", "Setl", "its name is 1 to 64"),
        ("setl.by_person", "setl..x", "its name is 1 to 64"),
        ("= $1", "= 1", "the argument $1 is not used"),
        ("$3", "$4", "uses $4"),
        ("max_rows = 100", "max_rows = 0", "max_rows must be at least 1"),
        ("max_rows = 100\n", "", "missing field `max_rows`"),
        ("max_rows", "max_row", "unknown field `max_row`"),
        ("\"366d\"", "366", "a duration with its unit"),
        ("period = \"end\"", "optional = true", "one argument with period"),
        (
            "\"to\", type = \"date\"",
            "\"to\", type = \"text\"",
            "both ends of a period",
        ),
        (
            "person = true",
            "person = true, optional = true",
            "may not be left out",
        ),
        ("max = 30", "max = 0", "at least 1"),
        ("max = 30", "one_of = [\"\\u0000\"]", "a value in one_of"),
        ("person = [\"psn_no\"]", "", "name the columns"),
        (
            "person = [\"psn_no\"]",
            "anonymous = true",
            "it is anonymous, and",
        ),
        ("\"setl_id\"]\n", "\"setl_id\", \"setl_id\"]\n", "occurs twice"),
        ("officers = 2", "officers = 0", "approval.officers is 1 to 9"),
        ("officers = 2", "officers = 2, among = [\"li\"]", "fewer officers"),
        ("[\"01\", \"02\"]", "[]", "name its purposes"),
        ("psn_name = {", "nmae = {", "does not get that column"),
        ("first = 1", "first = 0", "keeps no character"),
        (
            "masks = { psn_name",
            "masks = { medfee_sumamt",
            "the sum of a money column",
        ),
        (
            "priority = \"normal\"",
            "priority = \"soon\"",
            "unknown variant `soon`",
        ),
    ] {
        let text = sample::KIND.replacen(from, to, 1);
        assert_ne!(text, sample::KIND, "{from}");
        let error = config(&text).unwrap_err();
        assert!(error.contains(wanted), "{to}: {error}");
    }
    let twice = format!("{}{}", sample::KIND, sample::KIND);
    assert!(config(&twice).unwrap_err().contains("two kinds of this name"));
}

#[test]
fn kind_definition_changes_with_the_recipients_grant_only() {
    let (a, b) = ("insurer-a".parse().unwrap(), "insurer-b".parse().unwrap());
    let definition_of = |text: &str, recipient| {
        config(text)
            .unwrap()
            .get("setl.by_person")
            .unwrap()
            .definition(recipient)
    };
    let whole = definition_of(sample::KIND, &a);
    assert_eq!(whole, definition_of(sample::KIND, &a));
    assert_ne!(whole, definition_of(sample::KIND, &b));
    for (from, to) in [
        ("= $1", "<> $1"),
        ("first = 1", "first = 2"),
        ("max_rows = 100", "max_rows = 101"),
        ("\"01\", \"02\"", "\"01\""),
    ] {
        assert_ne!(
            whole,
            definition_of(&sample::KIND.replacen(from, to, 1), &a),
            "{to}"
        );
    }
    let other = format!(
        "{}\n[[kind.grant]]\nrecipient = \"insurer-b\"\npurposes = {{ \"01\" = [\"01\"] }}\ncolumns = [\"setl_id\"]\n",
        sample::KIND
    );
    assert_eq!(whole, definition_of(&other, &a));
    assert_ne!(definition_of(sample::KIND, &b), definition_of(&other, &b));
}
