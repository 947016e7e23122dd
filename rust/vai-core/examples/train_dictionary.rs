//! Trains the generic dictionary that ships with the package, from objects on standard input, one
//! JSON text a line:
//!
//! ```sh
//! python scripts/sample_objects.py |
//!     cargo run --release --example train_dictionary > rust/vai-core/src/codec/generic.dict
//! ```

use std::io::{self, Read, Write};

const DICTIONARY_BYTES: usize = 16 * 1024;

fn main() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    let samples: Vec<&[u8]> =
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let dictionary = zstd::dict::from_samples(&samples, DICTIONARY_BYTES)?;
    io::stdout().write_all(&dictionary)
}
