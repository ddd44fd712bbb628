//! Whole numbers as digits, without the formatting machinery of `std::fmt`, which takes most of the time of small texts.

/// Writes a number in decimal, with zeros in front up to `width` digits (20 at most).
pub(crate) fn put_digits(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while value > 0 {
        at -= 1;
        digits[at] += (value % 10) as u8;
        value /= 10;
    }
    let start = at.min(digits.len().saturating_sub(width));
    out.extend_from_slice(&digits[start..]);
}

/// Writes a number of 64 bits, signed or not, in decimal.
pub(crate) fn put_whole(out: &mut Vec<u8>, value: i128) {
    match u64::try_from(value.unsigned_abs()) {
        Ok(magnitude) => {
            if value < 0 {
                out.push(b'-');
            }
            put_digits(out, magnitude, 1);
        }
        Err(_) => out.extend_from_slice(value.to_string().as_bytes()),
    }
}

/// Writes a byte as two digits of hexadecimal.
pub(crate) fn put_hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = b"~".to_vec();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_fmt_writes_them() {
        let edges = [0, 1, 9, 10, 99, 12_345, u64::MAX / 10, u64::MAX - 1, u64::MAX];
        for value in edges {
            for width in [1, 2, 4, 9, 20] {
                assert_eq!(text(|out| put_digits(out, value, width)), format!("~{value:0width$}"));
            }
            for value in [i128::from(value), -i128::from(value)] {
                assert_eq!(text(|out| put_whole(out, value)), format!("~{value}"));
            }
        }
        for value in [i128::MIN, i128::MAX] {
            assert_eq!(text(|out| put_whole(out, value)), format!("~{value}"));
        }
        for byte in 0..=u8::MAX {
            assert_eq!(text(|out| put_hex(out, byte)), format!("~{byte:02x}"));
        }
    }
}
