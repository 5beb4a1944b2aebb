//! Which characters a reader can see, and texts in which every character can be seen.
//!
//! A character that cannot be seen can still act: control characters move a terminal's cursor, bidirectional marks
//! reorder what surrounds them, zero-width characters make two different names look equal. Such a character has no
//! place in a name, a reason or a code that one party writes and another party reads.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Combining marks in a row that are shown on one letter; further ones reach into the lines above and below.
const MOST_MARKS: usize = 4;

/// Returns whether a screen shows the character as itself: a letter, a digit, a mark, a symbol or a usual space.
///
/// Control, format, private, unassigned and separator characters are not, and neither are the letters and marks that
/// Unicode declares ignorable by default.
#[must_use]
pub fn is_visible(c: char) -> bool {
    match c {
        ' '..='~' | IDEOGRAPHIC_SPACE => true,
        // Letters, marks and a symbol that have no ink: fillers, joiners and selectors.
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
        // Behind a letter the standard library escapes what has no glyph of its own, but no combining mark.
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

/// Returns whether the character is for private use: rare letters of names are encoded so, and a font may show them.
fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}')
}

/// How a character that is not shown as itself is written instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// `\n`, `\t`, `\u{202e}`: for people.
    Text,
    /// `\u202e`, as a pair of surrogates where needed: inside JSON that is already written. Line feeds stay, because
    /// in JSON they can only stand between values.
    Json,
}

/// Writes every character that cannot be seen as an escape of visible ASCII characters. What is escaped already is not
/// changed by it.
#[must_use]
pub fn escape(text: &str, form: Escape) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // A mark needs a letter to be drawn on; the first character of a text has none before it.
    let mut marks = MOST_MARKS;
    for c in text.chars() {
        if c == '\n' && form == Escape::Json {
            marks = MOST_MARKS;
            shown.push(c);
        } else if is_mark(c) {
            if marks < MOST_MARKS {
                marks += 1;
                shown.push(c);
            } else {
                push_escaped(&mut shown, c, form);
            }
        } else if is_visible(c) {
            // Neither a space nor JSON's quotation mark carries a mark.
            marks = if matches!(c, ' ' | '"' | IDEOGRAPHIC_SPACE) {
                MOST_MARKS
            } else {
                0
            };
            shown.push(c);
        } else {
            marks = MOST_MARKS;
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

/// A text field that holds a character that cannot be seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{field} holds a character that cannot be seen, U+{code:04X} at place {place}; write it without that character"
)]
pub struct Invisible {
    /// The field's name; never its value.
    pub field: String,
    /// The character's code point.
    pub code: u32,
    /// Its place, counted from 1.
    pub place: usize,
}

/// Checks that every character of a short text field can be seen. Characters for private use pass: a name may need one.
///
/// # Errors
/// [`Invisible`] names the field and the first such character.
pub fn check(field: &str, text: &str) -> Result<(), Invisible> {
    match (1..)
        .zip(text.chars())
        .find(|(_, c)| !is_visible(*c) && !is_private(*c))
    {
        None => Ok(()),
        Some((place, c)) => Err(Invisible {
            field: escape(field, Escape::Text).into_owned(),
            code: c.into(),
            place,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind that acts without being seen.
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
            let error = check("filed_by", &text).unwrap_err();
            assert_eq!((error.code, error.place), (c.into(), 2));
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
            assert_eq!(check("reason", text), Ok(()));
        }
        // A rare letter that has no code point of its own passes a check, and is shown by its number.
        assert_eq!(check("reason", "\u{e000}"), Ok(()));
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
