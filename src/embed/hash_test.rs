//! `provider: hash_test`: unit vectors from a hash of the text. For tests, dry runs and the demonstration: equal texts get
//! equal vectors, and nothing else about them means anything.

use sha2::{Digest, Sha256};

/// The vector of a text, of length 1.
pub fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let seed = Sha256::digest(text.as_bytes());
    let mut vector = Vec::with_capacity(dimensions + 8);
    let mut block: u32 = 0;
    while vector.len() < dimensions {
        let digest = Sha256::new()
            .chain_update(seed)
            .chain_update(block.to_be_bytes())
            .finalize();
        let numbers = digest.chunks_exact(4).map(|bytes| {
            let number = bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
            // 24 bits are what an f32 holds exactly; never 0, so that no vector is without a length.
            ((number >> 8) as f32 + 0.5) / (1 << 23) as f32 - 1.0
        });
        vector.extend(numbers);
        block += 1;
    }
    vector.truncate(dimensions);
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    vector.iter().map(|x| (f64::from(*x) / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_length_one_and_depend_on_the_text_alone() {
        for dimensions in [1, 7, 8, 9, 1536] {
            let made = vector("some text", dimensions);
            let length: f64 = made.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            assert_eq!(made.len(), dimensions);
            assert!((length - 1.0).abs() < 1e-5, "{dimensions}: {length}");
            assert_eq!(made, vector("some text", dimensions));
        }
        assert_ne!(vector("a", 8), vector("b", 8));
    }
}
