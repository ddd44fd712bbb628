//! IP addresses with an optional prefix length, and hardware addresses in the notations that Postgres reads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{hexadecimal, trimmed};

/// The address and its prefix length, all bits where none is given.
pub(crate) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let text = trimmed(text);
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) if !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
            (address, Some(bits.parse::<u8>().ok()?))
        }
        Some(_) => return None,
        None => (text, None),
    };
    let (address, most) = if address.contains(':') {
        (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), 128)
    } else {
        (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), 32)
    };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some((address, bits))
}

/// Six or eight bytes: `08:00:2b:01:02:03`, `08-00-2b-01-02-03`, `08002b:010203`, `0800.2b01.0203`, `08002b010203`.
pub(crate) fn hardware(text: &str) -> Option<Vec<u8>> {
    let text = trimmed(text);
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let separators: Vec<(usize, char)> = text.char_indices().filter(|(_, c)| !c.is_ascii_hexdigit()).collect();
    if !matches!(digits.len(), 12 | 16) {
        return None;
    }
    if let Some((first, separator)) = separators.first() {
        let group = *first;
        let evenly = separators
            .iter()
            .enumerate()
            .all(|(at, (place, c))| c == separator && *place == group + at * (group + 1));
        let complete = group * (separators.len() + 1) == digits.len();
        if !matches!(separator, ':' | '-' | '.') || !matches!(group, 2 | 4 | 6) || !evenly || !complete {
            return None;
        }
    }
    let mut bytes = Vec::with_capacity(8);
    hexadecimal(&digits, &mut bytes)?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{hardware, network};

    #[test]
    fn hardware_addresses_are_read_in_every_notation() {
        let expected = Some(vec![0x08, 0x00, 0x2b, 0x01, 0x02, 0x03]);
        for text in [
            "08:00:2b:01:02:03",
            "08-00-2B-01-02-03",
            "08002b:010203",
            "0800.2b01.0203",
            "08002b010203",
        ] {
            assert_eq!(hardware(text), expected, "{text}");
        }
        for wrong in ["08:00:2b:01:02", "08:00-2b:01:02:03", "0800:2b:010203", "zz", ""] {
            assert_eq!(hardware(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_prefix_is_optional_and_bounded() {
        assert_eq!(network("10.1.2.3/24"), Some(("10.1.2.3".parse().unwrap(), 24)));
        assert_eq!(network("::1"), Some(("::1".parse().unwrap(), 128)));
        for wrong in ["10.1.2.3/33", "10.1.2", "10.1.2.3/", "10.1.2.3/+4", "host"] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }
}
