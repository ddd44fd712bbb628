//! Reads the whole numbers of a struct in Thrift's compact protocol and passes the rest over. Knows no struct.

/// Structs within structs that are followed.
const DEEPEST: usize = 16;

/// Bytes that begin with a struct.
pub(super) struct Compact<'a> {
    rest: &'a [u8],
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What follows what was read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads one struct. `note` is told each whole number: the field of the outer struct that it is in (0 for its own fields), its
    /// own field, and its value. `None` where the bytes are no struct.
    pub(super) fn read(&mut self, note: &mut dyn FnMut(i16, i16, i64)) -> Option<()> {
        self.fields(0, 0, note)
    }

    fn fields(&mut self, parent: i16, depth: usize, note: &mut dyn FnMut(i16, i16, i64)) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        let mut id = 0_i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).ok()?,
                delta => id.checked_add(i16::from(delta))?,
            };
            let within = if depth == 0 { id } else { i16::MAX };
            match head & 0x0f {
                4..=6 => {
                    let value = self.zigzag()?;
                    note(parent, id, value);
                }
                // Truth is in the type.
                1 | 2 => {}
                kind => self.value(kind, within, depth, note)?,
            }
        }
    }

    fn value(&mut self, kind: u8, within: i16, depth: usize, note: &mut dyn FnMut(i16, i16, i64)) -> Option<()> {
        match kind {
            1..=3 => self.byte().map(drop),
            4..=6 => self.zigzag().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(length)
            }
            9 | 10 => self.list(depth, note),
            12 => self.fields(within, depth + 1, note),
            _ => None,
        }
    }

    fn list(&mut self, depth: usize, note: &mut dyn FnMut(i16, i16, i64)) -> Option<()> {
        let head = self.byte()?;
        let length = match head >> 4 {
            15 => self.varint()?,
            length => u64::from(length),
        };
        for _ in 0..length {
            if depth > DEEPEST {
                return None;
            }
            self.value(head & 0x0f, i16::MAX, depth + 1, note)?;
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        i64::try_from(value >> 1)
            .ok()
            .map(|half| half ^ -i64::from(value & 1 == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_told_and_all_else_is_passed_over() {
        // 1: i32 -2, 2: binary "ab", 5: struct {1: i32 3, 2: true, 3: list of two i32}, 21: i64 300.
        let bytes = [
            0x15, 0x03, 0x18, 0x02, b'a', b'b', 0x3c, 0x15, 0x06, 0x11, 0x19, 0x25, 0x02, 0x04, 0x00, 0x06, 0x2a, 0xd8,
            0x04, 0x00, b'x',
        ];
        let (mut told, mut compact) = (Vec::new(), Compact::new(&bytes));
        compact
            .read(&mut |parent, id, value| told.push((parent, id, value)))
            .unwrap();
        assert_eq!(told, [(0, 1, -2), (5, 1, 3), (0, 21, 300)]);
        assert_eq!(compact.rest(), b"x");
        for end in 0..bytes.len() - 1 {
            assert!(Compact::new(&bytes[..end]).read(&mut |_, _, _| {}).is_none(), "{end}");
        }
    }
}
