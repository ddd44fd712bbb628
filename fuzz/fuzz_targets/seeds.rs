//! Writes the seeds to `corpus/<target>`, where `cargo fuzz` looks for them.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    for target in pgflight_fuzz::targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in pgflight_fuzz::seeds::seeds(target.name).into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), seed)?;
        }
    }
    Ok(())
}
