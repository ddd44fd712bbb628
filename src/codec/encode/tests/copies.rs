//! Texts of every size around the borders between ways to copy them arrive whole.

use crate::codec::encode::column::copy_short;

#[test]
fn a_copy_is_whole_at_every_size() {
    for size in 0..=200_usize {
        let from: Vec<u8> = (1..=size).map(|n| n as u8).collect();
        let mut to = vec![0; size];
        copy_short(&from, &mut to);
        assert_eq!(to, from, "{size} bytes");
    }
}
