//! Inputs that are not what they seem: empty among others, cut off, read with another delimiter than they were written with.

use super::*;

#[test]
fn files_without_a_line_are_passed_over_among_others() {
    let scratch = Scratch::new();
    let full = scratch.file("a-2.ndjson", "{\"a\":1}\n");
    for (name, content) in [("a-1.ndjson", ""), ("a-3.ndjson", "\n \n"), ("a-4.jsonl", "\u{feff}")] {
        let empty = scratch.file(name, content);
        for words in [[full.clone(), empty.clone()], [empty.clone(), full.clone()]] {
            let batch = read(&words).unwrap();
            assert_eq!((batch.num_rows(), batch.num_columns()), (1, 1), "{name}");
        }
        let error = refusal(&[empty.clone(), empty.clone()]);
        assert!(error.contains("there are no columns: the input is empty"), "{error}");
    }
    let full = scratch.file("b-1.csv", "a,b\n1,x\n");
    let empty = scratch.file("b-2.csv", "");
    for words in [[full.clone(), empty.clone()], [empty, full]] {
        assert_eq!(read(&words).unwrap().num_rows(), 1);
    }
}

#[test]
fn a_file_that_lost_its_end_is_said_to_be_cut_off() {
    let scratch = Scratch::new();
    let batch = sample();
    let csv = "a,b\n".to_owned() + &"1,some text\n".repeat(20_000);
    let files = [
        ("a.parquet", parquet_bytes(&batch)),
        ("b.arrow", arrow_file_bytes(&batch)),
        ("c.arrows", arrow_stream_bytes(&batch)),
        ("d.csv.gz", gzip(csv.as_bytes())),
        ("e.csv.zst", zstd::encode_all(csv.as_bytes(), 1).unwrap()),
        ("f.parquet.gz", gzip(&parquet_bytes(&batch))),
    ];
    for (name, bytes) in files {
        for kept in [bytes.len() / 2, bytes.len() - 3] {
            let error = refusal(&[scratch.file(name, &bytes[..kept])]);
            assert!(error.contains("may be cut off"), "{name}, {kept} bytes: {error}");
        }
    }
    for (name, bytes) in [("g.parquet", &b"PAR1"[..]), ("h.arrow", b"ARROW1")] {
        let error = refusal(&[scratch.file(name, bytes)]);
        assert!(error.contains("may be cut off"), "{name}: {error}");
    }
}

#[test]
fn one_column_with_another_delimiter_in_it_gets_a_hint() {
    let scratch = Scratch::new();
    let hint = |name: &str, content: &str, options: &TextOptions| {
        let inputs = expand(&[scratch.file(name, content)]).unwrap();
        let (source, _) = open(inputs, None, options, &Arc::default()).unwrap();
        source.hint().map(str::to_owned)
    };
    let plain = TextOptions::default();
    let found = hint("a.csv", "id;name\n1;x\n2;y\n", &plain).unwrap();
    assert!(found.ends_with("use --delimiter ';'"), "{found}");
    let found = hint("b.csv", "id\tname\n1\tx\n", &plain).unwrap();
    assert!(found.ends_with("use --delimiter '\\t'"), "{found}");
    let found = hint("c.tsv", "id,name\n1,x\n", &plain).unwrap();
    assert!(found.ends_with("use --delimiter ','"), "{found}");
    let bare = TextOptions {
        header: false,
        ..TextOptions::default()
    };
    assert!(hint("d.csv", "1|x\n2|y\n", &bare).is_some());
    for (name, content) in [
        ("e.csv", "note\na; b\nc\n"),
        ("f.csv", "a,b\n1;2,x\n"),
        ("g.csv", "note; text\nhello\nworld\n"),
        ("h.csv", "id\n1\n"),
    ] {
        assert_eq!(hint(name, content, &plain), None, "{name}");
    }
}
