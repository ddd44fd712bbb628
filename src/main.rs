//! The program: parses its command line and hands over to the composition root.

fn main() {}
