//! What the pgpq crate takes for the inputs of pgflight's own bench, so that both can be put side by side:
//!
//! ```sh
//! export PGFLIGHT_BENCH_INPUTS=/tmp/encode-inputs
//! cargo bench --locked --bench encode                                    # writes the inputs, then measures pgflight
//! cargo bench --locked --manifest-path benches/peers/Cargo.toml          # measures pgpq
//! ```
//! Says of each input whether pgpq takes it, and whether it makes the bytes that pgflight makes.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgpq::ArrowToPostgresBinaryEncoder;

/// Signature, flags and extension length: what a COPY opens with.
const HEADER_BYTES: usize = 19;

fn encode(batches: &[RecordBatch], out: &mut BytesMut, mut sink: impl FnMut(&[u8])) -> Result<(), String> {
    let told = |error: pgpq::error::ErrorKind| error.to_string();
    let mut encoder = ArrowToPostgresBinaryEncoder::try_new(&batches[0].schema()).map_err(told)?;
    out.clear();
    encoder.write_header(out).map_err(told)?;
    for batch in batches {
        encoder.write_batch(batch, out).map_err(told)?;
        sink(out);
        out.clear();
    }
    Ok(())
}

fn inputs() -> Vec<PathBuf> {
    let directory =
        std::env::var("PGFLIGHT_BENCH_INPUTS").expect("PGFLIGHT_BENCH_INPUTS names the directory of the inputs");
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory}: {error}; run pgflight's bench first"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut inputs: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "arrows"))
        .collect();
    inputs.sort();
    inputs
}

fn encoding(criterion: &mut Criterion) {
    for path in inputs() {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let file = fs::File::open(&path).expect("the input is there");
        let reader = StreamReader::try_new(file, None).expect("an Arrow stream");
        let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().expect("whole batches");
        let mut out = BytesMut::new();
        let mut made = Vec::new();
        if let Err(why) = encode(&batches, &mut out, |bytes| made.extend_from_slice(bytes)) {
            println!("{name}: pgpq does not take it: {why}");
            continue;
        }
        let ours = fs::read(path.with_extension("copy")).expect("pgflight's bytes are beside the input");
        println!(
            "{name}: the bytes are {}",
            if made[HEADER_BYTES..] == ours {
                "the same"
            } else {
                "others"
            }
        );
        let mut group = criterion.benchmark_group(&name);
        group.throughput(Throughput::Elements(
            batches.iter().map(|batch| batch.num_rows() as u64).sum(),
        ));
        group.bench_function("pgpq", |bencher| {
            bencher.iter(|| encode(&batches, &mut out, |bytes| _ = black_box(bytes)));
        });
        group.finish();
    }
}

criterion_group!(benches, encoding);
criterion_main!(benches);
