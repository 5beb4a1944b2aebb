//! Detects and escapes invisible characters.
//!
//! An invisible character can still have an effect: control characters move a terminal's cursor, bidirectional marks
//! reorder the surrounding text, zero-width characters make two different names look equal. Names, reasons and codes that
//! one party writes and another party reads must not contain such characters.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Maximum number of consecutive combining marks on one letter; further ones overlap the lines above and below.
const MAX_MARKS: usize = 4;

/// Returns whether a screen shows the character as itself: a letter, a digit, a mark, a symbol or a usual space.
///
/// Control, format, private, unassigned and separator characters are not, and neither are the letters and marks that
/// Unicode declares ignorable by default.
#[must_use]
pub fn is_visible(c: char) -> bool {
    match c {
        ' '..='~' | IDEOGRAPHIC_SPACE => true,
        // Letters, marks and a symbol without a glyph: fillers, joiners and selectors.
        '\u{034f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => false,
        // After a letter the standard library escapes every character without its own glyph, except combining marks.
        _ => {
            let mut buffer = [b'a', 0, 0, 0, 0];
            let length = 1 + c.encode_utf8(&mut buffer[1..]).len();
            std::str::from_utf8(&buffer[..length]).is_ok_and(|text| text.escape_debug().count() == 2)
        }
    }
}

/// The space of Chinese and Japanese text; names are written with it.
const IDEOGRAPHIC_SPACE: char = '\u{3000}';

/// Returns whether the character is drawn over the letter before it.
fn is_mark(c: char) -> bool {
    !c.is_ascii() && c != IDEOGRAPHIC_SPACE && is_visible(c) && c.escape_debug().count() > 1
}

/// Returns whether the character is in a private use area: rare letters of names are encoded there, and a font may show them.
fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}')
}

/// The escape format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// `\n`, `\t`, `\u{202e}`: for text output.
    Text,
    /// `\u202e`, as a surrogate pair where needed: for serialised JSON. Line feeds stay, because JSON has them only
    /// between values.
    Json,
}

/// Escapes every invisible character as visible ASCII characters. Idempotent.
#[must_use]
pub fn escape(text: &str, form: Escape) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // A mark needs a letter to be drawn on; the first character of a text has none before it.
    let mut marks = MAX_MARKS;
    for c in text.chars() {
        if c == '\n' && form == Escape::Json {
            marks = MAX_MARKS;
            shown.push(c);
        } else if is_mark(c) {
            if marks < MAX_MARKS {
                marks += 1;
                shown.push(c);
            } else {
                push_escaped(&mut shown, c, form);
            }
        } else if is_visible(c) {
            // Neither a space nor JSON's quotation mark carries a mark.
            marks = if matches!(c, ' ' | '"' | IDEOGRAPHIC_SPACE) {
                MAX_MARKS
            } else {
                0
            };
            shown.push(c);
        } else {
            marks = MAX_MARKS;
            push_escaped(&mut shown, c, form);
        }
    }
    if shown == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(shown)
    }
}

fn push_escaped(shown: &mut String, c: char, form: Escape) {
    match (form, c) {
        (Escape::Text, '\n') => shown.push_str("\\n"),
        (Escape::Text, '\r') => shown.push_str("\\r"),
        (Escape::Text, '\t') => shown.push_str("\\t"),
        // Writing into a string cannot fail.
        (Escape::Text, c) => {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        }
        (Escape::Json, c) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
}

/// A text field with an invisible character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{field} contains an invisible character, U+{code:04X} at position {position}; remove that character"
)]
pub struct InvisibleCharacter {
    /// The field's name; never its value.
    pub field: String,
    /// The character's code point.
    pub code: u32,
    /// The character's position, counted from 1.
    pub position: usize,
}

/// Checks that a short text field has no invisible character. Private use characters pass, because a name may need one.
///
/// # Errors
/// [`InvisibleCharacter`] names the field and the first such character.
pub fn check_visible(field: &str, text: &str) -> Result<(), InvisibleCharacter> {
    match (1..)
        .zip(text.chars())
        .find(|(_, c)| !is_visible(*c) && !is_private(*c))
    {
        None => Ok(()),
        Some((position, c)) => Err(InvisibleCharacter {
            field: escape(field, Escape::Text).into_owned(),
            code: c.into(),
            position,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind of invisible character with an effect.
    const HIDDEN: [char; 28] = [
        '\0',
        '\u{7}',
        '\u{8}',
        '\t',
        '\n',
        '\r',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{feff}',
        '\u{fe0f}',
        '\u{e0041}',
        '\u{3164}',
        '\u{a0}',
        '\u{fff9}',
    ];

    #[test]
    fn visible_hidden_character_is_escaped_and_refused() {
        for c in HIDDEN {
            let text = format!("a{c}b");
            let shown = escape(&text, Escape::Text);
            assert!(shown.chars().all(|c| matches!(c, ' '..='~')), "{c:?}: {shown:?}");
            let json = escape(&text, Escape::Json);
            assert!(
                json.chars().all(|c| c == '\n' || matches!(c, ' '..='~')),
                "{c:?}: {json:?}"
            );
            let error = check_visible("filed_by", &text).unwrap_err();
            assert_eq!((error.code, error.position), (c.into(), 2));
            assert!(!error.to_string().contains(c), "{error}");
        }
    }

    #[test]
    fn visible_text_of_any_script_is_unchanged() {
        for text in [
            "li.na, 100 % — “ok” \\u{1b}",
            "参保人　张三，结算 ¥12.50",
            "Ünïcödé e\u{301}e\u{301}",
            "بۇ ئۇيغۇرچە",
            "བོད་ཡིག",
            "ไม่มี",
            "🙂",
        ] {
            assert_eq!(escape(text, Escape::Text), text);
            assert_eq!(escape(text, Escape::Json), text);
            assert_eq!(check_visible("reason", text), Ok(()));
        }
        // A rare letter that has no code point of its own passes a check, and is shown by its number.
        assert_eq!(check_visible("reason", "\u{e000}"), Ok(()));
        assert_eq!(escape("\u{e000}", Escape::Text), "\\u{e000}");
    }

    #[test]
    fn visible_marks_are_bounded_and_need_a_letter() {
        let flood = format!("a{}", "\u{301}".repeat(9));
        assert_eq!(escape(&flood, Escape::Text).matches("\\u{301}").count(), 5);
        assert_eq!(escape("\u{301}a", Escape::Text), "\\u{301}a");
        assert_eq!(escape("\"\u{301}\"", Escape::Json), "\"\\u0301\"");
    }

    #[test]
    fn visible_escape_is_idempotent_and_keeps_json_equal() {
        let every: String = ('\0'..='\u{ffff}')
            .step_by(7)
            .chain('\u{e0000}'..='\u{e0fff}')
            .collect();
        let once = escape(&every, Escape::Text).into_owned();
        assert_eq!(escape(&once, Escape::Text), once);
        let written = serde_json::to_string(&every).unwrap();
        let shown = escape(&written, Escape::Json);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), every);
        assert!(!shown.chars().any(|c| HIDDEN.contains(&c) && c != '\n'));
    }
}
