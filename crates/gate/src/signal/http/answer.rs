//! PURE: extracts the number from an answer.

use super::error::AnswerError;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Returns the value; an error never contains the body.
pub(super) fn value(answer: &Answer, status: bool, pointer: Option<&str>) -> Result<f64, AnswerError> {
    if status {
        return Ok(if answer.status == 200 { 0.0 } else { 1.0 });
    }
    if answer.status != 200 {
        return Err(AnswerError::Status(answer.status));
    }
    let number = match pointer {
        None => std::str::from_utf8(&answer.body)
            .ok()
            .and_then(|text| text.trim().parse::<f64>().ok())
            .ok_or(AnswerError::NoNumber)?,
        Some(pointer) => {
            let json: serde_json::Value =
                serde_json::from_slice(&answer.body).map_err(|_| AnswerError::NoJson)?;
            json.pointer(pointer)
                .and_then(serde_json::Value::as_f64)
                .ok_or_else(|| AnswerError::NoNumberAt(pointer.to_owned()))?
        }
    };
    if number.is_finite() {
        Ok(number)
    } else {
        Err(AnswerError::NotFinite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_value(status: u16, body: &str, pointer: Option<&str>) -> Result<f64, AnswerError> {
        let answer = Answer {
            status,
            body: body.into(),
        };
        value(&answer, false, pointer)
    }

    #[test]
    fn answer_without_a_number_is_an_error_without_the_body() {
        assert_eq!(read_value(200, " 1.5\n", None), Ok(1.5));
        assert_eq!(
            read_value(200, "{\"data\":[{\"lag\":3}]}", Some("/data/0/lag")),
            Ok(3.0)
        );
        for (status, body, pointer) in [
            (200, "secret", None),
            (200, "NaN", None),
            (200, "", None),
            (302, "1", None),
            (200, "{\"lag\":\"3\"}", Some("/lag")),
            (200, "secret", Some("/lag")),
        ] {
            let error =
                read_value(status, body, pointer).map_or_else(|error| error.to_string(), |_| String::new());
            assert!(
                error.starts_with("answered with ") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn answer_status_200_is_0_and_any_other_is_1() {
        for (status, number) in [(200, 0.0), (417, 1.0), (429, 1.0), (500, 1.0), (204, 1.0)] {
            let answer = Answer {
                status,
                body: Vec::new(),
            };
            let read_value = value(&answer, true, None).unwrap_or(f64::NAN);
            assert!((read_value - number).abs() < 1e-9, "{status}");
        }
    }
}
