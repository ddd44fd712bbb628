//! Numbers as text: decimals digit by digit, floats in the shortest form that reads back as the same float.

use crate::literal::calendar::put;

/// Writes the decimal `digits` x 10^-`scale` without exponent, as Postgres prints a `numeric`.
pub(crate) fn put_decimal(out: &mut Vec<u8>, digits: &str, scale: i32) {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    out.extend_from_slice(sign.as_bytes());
    if scale <= 0 {
        out.extend_from_slice(digits.as_bytes());
        if digits != "0" {
            out.resize(out.len() + scale.unsigned_abs() as usize, b'0');
        }
        return;
    }
    let scale = scale as usize;
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    put(out, format_args!("{whole}.{fraction}"));
}

/// Writes a decimal as Go's `big.Float.Text('g', precision)`: no closing zeros, an exponent below 0.0001.
pub(super) fn put_go_decimal(out: &mut Vec<u8>, digits: &str, scale: i32) {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        out.push(b'0');
        return;
    }
    out.extend_from_slice(sign.as_bytes());
    // The value is 0.ddd x 10^point.
    let point = digits.len() as i32 - scale;
    put_go_digits(out, trimmed, point, -4, i32::MAX);
}

/// Writes 0.`digits` x 10^`point`, with an exponent where that of the first digit is below `low` or from `high` on.
fn put_go_digits(out: &mut Vec<u8>, digits: &str, point: i32, low: i32, high: i32) {
    let exponent = point - 1;
    let (first, rest) = digits.split_at(1);
    if exponent < low || exponent >= high {
        let dot = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        put(
            out,
            format_args!("{first}{dot}{rest}e{sign}{:02}", exponent.unsigned_abs()),
        );
    } else if point <= 0 {
        put(
            out,
            format_args!("0.{:0<width$}{digits}", "", width = point.unsigned_abs() as usize),
        );
    } else if digits.len() as i32 <= point {
        put(out, format_args!("{digits:0<width$}", width = point as usize));
    } else {
        let (whole, fraction) = digits.split_at(point as usize);
        put(out, format_args!("{whole}.{fraction}"));
    }
}

/// Digits and decimal point of the shortest text of a finite float that is not 0: 0.`digits` x 10^`point`.
fn shortest(scientific: &str) -> (String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    (
        digits.trim_end_matches('0').to_owned(),
        exponent.parse::<i32>().unwrap_or(0) + 1,
    )
}

/// A float: its shortest scientific form for its own width, and its value.
pub(super) struct Float {
    pub(super) value: f64,
    pub(super) scientific: String,
}

impl From<f32> for Float {
    fn from(value: f32) -> Self {
        Self {
            value: value.into(),
            scientific: format!("{value:e}"),
        }
    }
}

impl From<f64> for Float {
    fn from(value: f64) -> Self {
        Self {
            value,
            scientific: format!("{value:e}"),
        }
    }
}

impl Float {
    /// Writes the float as a JSON value, which has quotes where JSON has no such number.
    pub(super) fn put_json(&self, out: &mut Vec<u8>, put: impl FnOnce(&Self, &mut Vec<u8>)) {
        let quote: &[u8] = if self.value.is_finite() { b"" } else { b"\"" };
        out.extend_from_slice(quote);
        put(self, out);
        out.extend_from_slice(quote);
    }

    /// Writes the float as Postgres prints it (`extra_float_digits` of 1): plain from 1e-4 up to 15 digits.
    pub(super) fn put(&self, out: &mut Vec<u8>, plain_digits: i32) {
        if self.value.is_nan() {
            out.extend_from_slice(b"NaN");
        } else if self.value.is_infinite() {
            out.extend_from_slice(if self.value > 0.0 {
                b"Infinity".as_slice()
            } else {
                b"-Infinity"
            });
        } else {
            self.put_finite(out, -4, plain_digits);
        }
    }

    /// Writes the float as Go does: an exponent below 10^`low` and from 10^`high` on.
    pub(super) fn put_go(&self, out: &mut Vec<u8>, low: i32, high: i32) {
        if self.value.is_nan() {
            out.extend_from_slice(b"NaN");
        } else if self.value.is_infinite() {
            out.extend_from_slice(if self.value > 0.0 { b"+Inf".as_slice() } else { b"-Inf" });
        } else {
            self.put_finite(out, low, high);
        }
    }

    fn put_finite(&self, out: &mut Vec<u8>, low: i32, high: i32) {
        if self.value.is_sign_negative() {
            out.push(b'-');
        }
        if self.value == 0.0 {
            out.push(b'0');
        } else {
            let (digits, point) = shortest(&self.scientific);
            put_go_digits(out, &digits, point, low, high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Float, put_decimal, put_go_decimal};

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_print_every_digit() {
        let cases = [
            ("-5", 5, "-0.00005"),
            ("12300", 4, "1.2300"),
            ("12", -3, "12000"),
            ("0", 2, "0.00"),
            ("0", -2, "0"),
        ];
        for (digits, scale, expected) in cases {
            assert_eq!(text(|out| put_decimal(out, digits, scale)), expected);
        }
    }

    #[test]
    fn go_decimals_drop_closing_zeros_and_may_have_an_exponent() {
        let cases = [
            ("12300", 4, "1.23"),
            ("1200", 0, "1200"),
            ("-1", 7, "-1e-07"),
            ("15", 5, "0.00015"),
            ("0", 3, "0"),
        ];
        for (digits, scale, expected) in cases {
            assert_eq!(text(|out| put_go_decimal(out, digits, scale)), expected);
        }
    }

    #[test]
    fn floats_print_as_postgres_prints_them() {
        let cases = [
            (0.1, "0.1"),
            (1e15, "1e+15"),
            (123_456.0, "123456"),
            (1e-5, "1e-05"),
            (-2.5e-300, "-2.5e-300"),
        ];
        for (value, expected) in cases {
            let float = Float {
                value,
                scientific: format!("{value:e}"),
            };
            assert_eq!(text(|out| float.put(out, 15)), expected);
        }
    }
}
