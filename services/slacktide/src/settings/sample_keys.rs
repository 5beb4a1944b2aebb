//! The public keys of the shipped samples. Their seeds do not exist: a file that keeps one trusts no party, or encrypts
//! rows that no one can decrypt.

use std::path::Path;

use crate::failure::Failure;

/// Every public key in `config/`; a test compares.
const KEYS: [&str; 3] = [
    "AAXCRMBVGP42CBRPB6QZ5FTP4HXHZD6X33U4F3CP3P6KU725MA4TFWGM",
    "AA5MISYAAONND35BYA2NSOUXOODINIGIQXNAR6SBCYBPAZY637HHUXAQ",
    "XDXTR347KCLH6223YOSFKGXN5VRRIOZN2YVXF7BZ7FLTBI6BNYQRMN6Q",
];

/// Refuses a file that contains a key of the samples.
pub(crate) fn refuse_sample_keys(path: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    match find(&text) {
        Some((line, key)) => {
            let own = if key.starts_with('X') {
                "encryption.pub"
            } else {
                "sign.pub"
            };
            Err(Failure::usage(format!(
                "{}, line {line}: {key} is the example key of the shipped samples, and its seed does not exist; put the other \
                 party's own {own} there",
                path.display()
            )))
        }
        None => Ok(()),
    }
}

/// Finds the first sample key outside of comments, with its line number.
fn find(text: &str) -> Option<(usize, &'static str)> {
    let key_in = |line: &str| {
        let values = line.split('#').next().unwrap_or_default();
        KEYS.into_iter().find(|key| values.contains(key))
    };
    text.lines()
        .enumerate()
        .find_map(|(index, line)| Some((index + 1, key_in(line)?)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn samples(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                samples(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                found.push(path);
            }
        }
    }

    fn is_key(word: &str) -> bool {
        word.len() == 56
            && word.starts_with(['A', 'X', 'U'])
            && word.bytes().all(|b| b.is_ascii_alphanumeric())
    }

    #[test]
    fn sample_keys_are_all_refused() {
        let mut files = Vec::new();
        samples(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config"),
            &mut files,
        );
        assert!(files.len() > 20, "{files:?}");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let words = text.split(|sign: char| !sign.is_ascii_alphanumeric());
            let keys: Vec<&str> = words.filter(|word| is_key(word)).collect();
            assert!(
                keys.iter().all(|key| KEYS.contains(key)),
                "{}: {keys:?}",
                file.display()
            );
            assert_eq!(
                refuse_sample_keys(&file).is_err(),
                !keys.is_empty(),
                "{}",
                file.display()
            );
        }
    }

    #[test]
    fn sample_key_refusal_names_the_line() {
        let text = format!("# {}\n[trust]\nchunks = [\"{}\"]\n", KEYS[0], KEYS[1]);
        assert_eq!(find(&text), Some((3, KEYS[1])));
        assert_eq!(find("chunks = []"), None);
    }
}
