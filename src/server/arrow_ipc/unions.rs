//! Unions in a stream's schema may be NULL, whatever it says of them.
//!
//! A union has no validity of its own: its value is NULL where that of the child is. Arrow's Rust encoder for Flight
//! (`prepare_field_for_flight`, arrow-flight 60) announces every union as NOT NULL, so a column would be created that
//! refuses the values that follow, and a struct around a union would fail the validation of its arrays.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};

/// The schema with every union nullable.
pub(super) fn nullable(schema: Schema) -> Schema {
    let unions = |field: &&Field| matches!(field.data_type(), DataType::Union(..));
    if !schema.flattened_fields().iter().any(unions) {
        return schema;
    }
    let fields: Vec<FieldRef> = schema.fields().iter().map(in_field).collect();
    Schema::new_with_metadata(fields, schema.metadata)
}

fn in_field(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Union(children, mode) => {
            let children = children.iter().map(|(id, child)| (id, in_field(child)));
            let union = DataType::Union(children.collect(), *mode);
            return Arc::new(field.as_ref().clone().with_data_type(union).with_nullable(true));
        }
        DataType::Struct(children) => DataType::Struct(children.iter().map(in_field).collect()),
        DataType::List(item) => DataType::List(in_field(item)),
        DataType::LargeList(item) => DataType::LargeList(in_field(item)),
        DataType::ListView(item) => DataType::ListView(in_field(item)),
        DataType::LargeListView(item) => DataType::LargeListView(in_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(in_field(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(in_field(entries), *sorted),
        DataType::RunEndEncoded(ends, values) => DataType::RunEndEncoded(Arc::clone(ends), in_field(values)),
        DataType::Dictionary(keys, values) => {
            let values = in_field(&Arc::new(Field::new("", values.as_ref().clone(), true)));
            DataType::Dictionary(keys.clone(), Box::new(values.data_type().clone()))
        }
        _ => return Arc::clone(field),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{UnionFields, UnionMode};

    use super::*;

    #[test]
    fn unions_become_nullable_at_any_depth_and_nothing_else_changes() {
        let union = |item: Field| {
            let fields = UnionFields::try_new([3], [item]).unwrap();
            DataType::Union(fields, UnionMode::Dense)
        };
        let schema = |nullable: bool| {
            let inner = Field::new("inner", union(Field::new("leaf", DataType::Int8, false)), nullable);
            let list = Field::new("l", DataType::List(Arc::new(inner)), false);
            let of_struct = Field::new("s", DataType::Struct(vec![list].into()), false).with_metadata([("k", "v")]);
            let outer = Field::new("u", union(of_struct), nullable).with_metadata([("a", "b")]);
            let plain = Field::new("p", DataType::Utf8, false);
            Schema::new(vec![outer, plain]).with_metadata([("of", "schema")])
        };
        assert_eq!(nullable(schema(false)), schema(true));
        let without = Schema::new(vec![Field::new("p", DataType::Utf8, false)]);
        assert_eq!(nullable(without.clone()), without);
    }
}
