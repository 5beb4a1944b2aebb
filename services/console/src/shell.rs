//! PURE: a command as text for a POSIX shell.

/// Quotes an argument so that a shell passes it on unchanged.
#[must_use]
pub fn quote(argument: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// Returns a command line of these arguments.
#[must_use]
pub fn command(arguments: &[&str]) -> String {
    let quoted: Vec<String> = arguments.iter().map(|argument| quote(argument)).collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real shell gives the arguments back as they were.
    #[test]
    fn shell_quoted_arguments_survive_a_real_shell() {
        let hostile = [
            "",
            "a b",
            "it's",
            "$(reboot)",
            "`id`",
            "a;b",
            "\\",
            "*",
            "-n",
            "\"",
            "!!",
            "审计 周",
            "a'\"'b",
            "~",
            "#x",
        ];
        let mut arguments = vec!["printf", "%s\\0"];
        arguments.extend(hostile);
        let output = std::process::Command::new("sh")
            .args(["-c", &command(&arguments)])
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let printed: Vec<&str> = printed.split('\0').collect();
        assert_eq!(printed[..hostile.len()], hostile);
    }

    #[test]
    fn shell_plain_arguments_stay_readable() {
        assert_eq!(
            command(&["slacktide", "gate", "pause", "--for", "2h"]),
            "slacktide gate pause --for 2h"
        );
    }
}
