//! Laws of `wanted_table`, with a type map of three types.

use arrow::datatypes::DataType;

use super::*;

fn type_of(field: &Field) -> Result<PgType, String> {
    match field.data_type() {
        DataType::Int64 => Ok(PgType::Int8),
        DataType::Utf8 => Ok(PgType::Text),
        other => Err(format!("{other} has no Postgres type")),
    }
}

fn field(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn with(field: Field, key: &str, value: &str) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(key.to_owned(), value.to_owned());
    field.with_metadata(metadata)
}

fn wanted(fields: Vec<Field>, options: &WantedOptions) -> Result<TableShape, SchemaProblems> {
    wanted_table(&Schema::new(fields), options, &type_of)
}

fn names(key: &[Ident]) -> Vec<&str> {
    key.iter().map(Ident::as_str).collect()
}

#[test]
fn columns_keep_stream_order_nullability_and_flags() {
    let fields = vec![
        Field::new("b", DataType::Utf8, false),
        with(
            with(field("A b\"c"), "cq:extension:unique", "true"),
            "pgflight.comment",
            "why",
        ),
    ];
    let shape = wanted(fields, &WantedOptions::default()).unwrap();
    assert_eq!(shape.columns[0].name.as_str(), "b");
    assert_eq!(
        (&shape.columns[0].ty, shape.columns[0].nullable),
        (&PgType::Text, false)
    );
    assert_eq!(shape.columns[1].name.quoted(), "\"A b\"\"c\"");
    assert!(shape.columns[1].unique && shape.columns[1].nullable);
    assert_eq!(shape.columns[1].comment.as_deref(), Some("why"));
}

#[test]
fn all_problems_come_at_once_and_name_their_column() {
    let fields = vec![
        field("a"),
        field("a"),
        field(""),
        field("x\0y"),
        Field::new("f", DataType::Null, true),
        field("ctid"),
        field(&"n".repeat(64)),
    ];
    let options = WantedOptions {
        primary_key: Some(vec!["zz".into(), "a".into(), "a".into()]),
        ..Default::default()
    };
    let problems = wanted(fields, &options).unwrap_err();
    assert_eq!(problems.0.len(), 8, "{problems}");
    let text = problems.to_string();
    for part in [
        "columns 1 and 2 are both named \"a\"",
        "column 3: a name is empty",
        "column 4: the name \"x\\0y\" contains a NUL byte",
        "column \"f\": Null has no Postgres type",
        "\"ctid\" has the name of a Postgres system column",
        "has 64 bytes; Postgres keeps at most 63",
        "key column \"zz\" is not a column of the stream",
        "key column \"a\" is named twice",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
}

#[test]
fn a_schema_without_columns_or_with_too_many_is_refused() {
    assert_eq!(
        wanted(vec![], &WantedOptions::default()),
        Err(SchemaProblems(vec![SchemaProblem::NoColumns]))
    );
    let many = (0..=MAX_COLUMNS).map(|n| field(&format!("c{n}"))).collect();
    assert_eq!(
        wanted(many, &WantedOptions::default()),
        Err(SchemaProblems(vec![SchemaProblem::TooManyColumns { count: 1601 }]))
    );
}

#[test]
fn the_cloudquery_profile_cuts_names_on_a_character_and_refuses_collisions() {
    let options = WantedOptions {
        profile: TypeProfile::Cloudquery,
        ..Default::default()
    };
    let shape = wanted(vec![field(&("é".repeat(31) + "éé"))], &options).unwrap();
    assert_eq!(shape.columns[0].name.as_str(), "é".repeat(31));
    let long = "c".repeat(63);
    let problems = wanted(
        vec![field(&(long.clone() + "1")), field(&(long.clone() + "2"))],
        &options,
    )
    .unwrap_err();
    assert!(
        matches!(&problems.0[..], [SchemaProblem::SameWhenCut { short, .. }] if *short == long),
        "{problems}"
    );
}

#[test]
fn the_key_comes_from_the_options_then_the_schema_then_the_fields() {
    let fields = || {
        vec![
            field("a"),
            with(field("b"), "cq:extension:primary_key", "true"),
            with(field("c"), "pgflight.primary_key", "true"),
        ]
    };
    let by_fields = wanted(fields(), &WantedOptions::default()).unwrap();
    assert_eq!(names(&by_fields.primary_key), ["b", "c"]);
    assert!(
        !by_fields.columns[1].nullable && by_fields.columns[0].nullable,
        "a key column takes no NULL"
    );

    for value in ["c, a", "[\"c\",\"a\"]"] {
        let schema = Schema::new_with_metadata(
            fields(),
            HashMap::from([("pgflight.primary_key".to_owned(), value.to_owned())]),
        );
        let shape = wanted_table(&schema, &WantedOptions::default(), &type_of).unwrap();
        assert_eq!(names(&shape.primary_key), ["c", "a"]);
        let options = WantedOptions {
            primary_key: Some(vec!["a".into()]),
            ..Default::default()
        };
        assert_eq!(
            names(&wanted_table(&schema, &options, &type_of).unwrap().primary_key),
            ["a"]
        );
        let none = WantedOptions {
            primary_key: Some(vec![]),
            ..Default::default()
        };
        assert!(wanted_table(&schema, &none, &type_of).unwrap().primary_key.is_empty());
    }
}

#[test]
fn table_comment_and_constraint_name_come_from_cloudquery_metadata() {
    let metadata = [
        ("cq:table_description".to_owned(), "All 'the' rows".to_owned()),
        ("cq:extension:constraint_name".to_owned(), "t_cqpk".to_owned()),
    ];
    let schema = Schema::new_with_metadata(vec![field("a")], HashMap::from(metadata));
    let shape = wanted_table(&schema, &WantedOptions::default(), &type_of).unwrap();
    assert_eq!(shape.comment.as_deref(), Some("All 'the' rows"));
    assert_eq!(shape.primary_key_name.unwrap().as_str(), "t_cqpk");
}
