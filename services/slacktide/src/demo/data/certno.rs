//! PURE: identity numbers of 18 characters: area, birth date, serial number, check digit.

const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

/// Returns the number for 6 digits of area, 8 of birth date, and a serial number up to 999 (odd for men).
pub(crate) fn certno(area: &str, birth: &str, serial: u32) -> String {
    let body = format!("{area}{birth}{:03}", serial % 1_000);
    let check = check_digit(&body);
    format!("{body}{check}")
}

/// Returns the check character of the first 17 characters.
pub(crate) fn check_digit(body: &str) -> char {
    let sum: u32 = body
        .chars()
        .filter_map(|c| c.to_digit(10))
        .zip(WEIGHTS)
        .map(|(digit, weight)| digit * weight)
        .sum();
    match (12 - sum % 11) % 11 {
        10 => 'X',
        digit => char::from_digit(digit, 10).unwrap_or('X'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digit_matches_the_standard() {
        // The examples of GB 11643.
        assert_eq!(certno("110105", "19491231", 2), "11010519491231002X");
        assert_eq!(check_digit("44052418800101001"), '4');
        assert_eq!(certno("320501", "19850612", 17).len(), 18);
    }
}
