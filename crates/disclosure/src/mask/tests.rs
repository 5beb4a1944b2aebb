use proptest::prelude::*;
use schemas::name::RecipientName;

use super::key::{MaskKey, ShortSecret};
use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn key(recipient: &str) -> TokenKey {
    let recipient: RecipientName = recipient.parse().unwrap();
    MaskKey::new(SECRET).unwrap().for_recipient(&recipient)
}

fn shown(mask: Mask, value: Value<'_>) -> String {
    match mask.apply(value, &key("insurer-a")) {
        MaskedValue::Null => "-".to_owned(),
        MaskedValue::Int(number) => number.to_string(),
        MaskedValue::Text(text) => text,
    }
}

fn keeps(first: u16, last: u16) -> Mask {
    Mask::Keep(Keep { first, last })
}

#[test]
fn mask_shows_what_is_configured() {
    for (mask, value, expected) in [
        (keeps(1, 0), "张三丰", "张*"),
        (keeps(6, 4), "310101198705061234", "310101*1234"),
        (keeps(0, 4), "13800004711   ", "*4711"),
        (keeps(6, 4), "3101011987", "*"),
        (keeps(1, 0), "张", "*"),
        (keeps(1, 1), "", ""),
        (keeps(1, 0), "a*", "-"),
        (Mask::Year, "1987-05-06", "1987"),
        (Mask::Year, "some day", "-"),
        (Mask::Prefix(3), "E11.901", "E11"),
        (Mask::Drop, "x", "-"),
    ] {
        assert_eq!(shown(mask, Value::Text(value)), expected, "{mask:?} of {value}");
    }
    assert_eq!(shown(keeps(0, 4), Value::Int(13_800_004_711)), "*4711");
    for mask in [keeps(1, 0), Mask::Year, Mask::Prefix(2), Mask::Drop, Mask::Token] {
        assert_eq!(shown(mask, Value::Null), "-");
    }
    // Bytes have no characters to keep.
    assert_eq!(shown(keeps(1, 0), Value::Bytes(b"secret")), "-");
    assert_eq!(shown(Mask::Prefix(2), Value::Bytes(b"secret")), "-");
}

/// The secret, the label and the format of a token are permanent: other tokens break joins with everything that was sent before.
#[test]
fn mask_token_is_permanent() {
    assert_eq!(
        shown(Mask::Token, Value::Text("31010004711")),
        "a8d9be01f16eafd37befa5c97c8eac71"
    );
}

#[test]
fn mask_token_of_a_number_ignores_its_spelling() {
    let one = shown(Mask::Token, Value::Int(31_010_004_711));
    assert_eq!(one, shown(Mask::Token, Value::Text(" 31010004711 ")));
    assert_eq!(one.len(), 32);
}

#[test]
fn mask_short_secret_is_refused_and_never_shown() {
    assert!(matches!(MaskKey::new("short"), Err(ShortSecret(5))));
    let key = MaskKey::new(SECRET).unwrap();
    assert!(!format!("{key:?}{:?}", key.for_recipient(&"a".parse().unwrap())).contains(SECRET));
    assert!(!format!("{:?}", MaskedValue::Text("张*".to_owned())).contains('张'));
}

#[test]
fn mask_configuration_refuses_misspelling() {
    #[derive(Debug, Deserialize)]
    struct Masks {
        masks: std::collections::BTreeMap<String, Mask>,
    }
    let text = r#"masks = { a = "drop", b = "token", c = "year", d = { keep = { first = 6, last = 4 } }, e = { prefix = 3 } }"#;
    let masks: Masks = toml::from_str(text).unwrap();
    let read: Vec<Mask> = masks.masks.into_values().collect();
    assert_eq!(
        read,
        [Mask::Drop, Mask::Token, Mask::Year, keeps(6, 4), Mask::Prefix(3)]
    );
    for bad in [
        r#"masks = { a = "hide" }"#,
        r#"masks = { a = { keep = { frist = 1 } } }"#,
        r#"masks = { a = { prefix = -1 } }"#,
    ] {
        assert!(toml::from_str::<Masks>(bad).is_err(), "{bad} passed");
    }
    assert!(keeps(0, 0).check().is_err() && Mask::Prefix(0).check().is_err());
    assert!(keeps(0, 1).check().is_ok() && Mask::Token.check().is_ok());
}

fn masks() -> impl Strategy<Value = Mask> {
    prop_oneof![
        Just(Mask::Drop),
        Just(Mask::Token),
        Just(Mask::Year),
        (0_u16..6, 0_u16..6).prop_map(|(first, last)| keeps(first, last)),
    ]
}

proptest! {
    /// The value itself is never shown. Texts of up to four characters and of hexadecimal digits may occur in a token or a year by
    /// chance; a text with an asterisk can look masked.
    #[test]
    fn mask_output_never_contains_the_value(mask in masks(), text in ".{5,40}", blanks in " {0,3}") {
        let padded = format!("{text}{blanks}");
        let text = padded.trim();
        prop_assume!(text.chars().count() >= 5 && !text.contains('*'));
        prop_assume!(!text.chars().all(|sign| sign.is_ascii_hexdigit()));
        let out = shown(mask, Value::Text(&padded));
        prop_assert!(!out.contains(text));
    }

    /// The hidden part is never shown: the middle of a text, the end of a code.
    #[test]
    fn mask_hidden_part_is_never_shown(first in 0_u16..6, last in 0_u16..6, number in "[0-9]{18}") {
        let out = shown(keeps(first, last), Value::Text(&number));
        let expected = format!("{}*{}", &number[..usize::from(first)], &number[18 - usize::from(last)..]);
        prop_assert_eq!(out, expected);
        let code = shown(Mask::Prefix(first), Value::Text(&number));
        prop_assert_eq!(code, &number[..usize::from(first)]);
    }

    #[test]
    fn mask_tokens_are_stable_and_differ_by_recipient(text in "\\PC{1,30}", other in "\\PC{1,30}") {
        let (a, again, b) = (key("insurer-a"), key("insurer-a"), key("insurer-b"));
        let value = Value::Text(&text);
        prop_assert_eq!(a.token(value), again.token(value));
        prop_assert_ne!(a.token(value), b.token(value));
        if text.trim() != other.trim() {
            prop_assert_ne!(a.token(value), a.token(Value::Text(&other)));
        }
    }
}
