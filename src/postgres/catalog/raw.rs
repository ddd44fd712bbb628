//! The JSON document of `sql/catalog/table.sql`, member by member. No rule lives here.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct RawFound {
    pub(super) server: RawServer,
    pub(super) schema: Option<String>,
    pub(super) schema_exists: bool,
    pub(super) schema_usage: Option<bool>,
    pub(super) schema_create: Option<bool>,
    pub(super) table: Option<RawTable>,
    pub(super) types: Option<Vec<RawType>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawServer {
    pub(super) version: u32,
    pub(super) database: String,
    pub(super) role: String,
    pub(super) current_schema: Option<String>,
    pub(super) time_zone: String,
    pub(super) today: String,
    pub(super) in_recovery: bool,
    pub(super) read_only: bool,
    pub(super) can_create_schema: bool,
    pub(super) can_create_temporary: bool,
    pub(super) money: RawMoney,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawMoney {
    pub(super) positive: String,
    pub(super) negative: String,
    pub(super) unit: String,
}

#[expect(clippy::struct_excessive_bools, reason = "mirrors the document")]
#[derive(Debug, Deserialize)]
pub(super) struct RawTable {
    pub(super) oid: u32,
    pub(super) kind: char,
    pub(super) is_partition: bool,
    pub(super) persistence: char,
    pub(super) rows: f64,
    pub(super) typed: bool,
    pub(super) partition_key: Option<String>,
    pub(super) partition_columns: Option<Vec<i16>>,
    pub(super) partitions: Option<Vec<String>>,
    pub(super) has_children: bool,
    pub(super) comment: Option<String>,
    pub(super) owner: String,
    pub(super) is_owner: bool,
    pub(super) can_look: bool,
    pub(super) can_delete: bool,
    pub(super) can_truncate: bool,
    pub(super) row_security: bool,
    pub(super) rules: Option<Vec<RawRule>>,
    pub(super) without_identity: RawUnidentified,
    pub(super) triggers: Option<Vec<RawTrigger>>,
    pub(super) row_triggers: Option<Vec<RawRowTrigger>>,
    pub(super) columns: Option<Vec<RawColumn>>,
    pub(super) keys: Option<Vec<RawKey>>,
    pub(super) indexes: Option<Vec<RawIndex>>,
    pub(super) exclusions: Option<Vec<String>>,
    pub(super) referenced_by: Option<Vec<String>>,
    pub(super) references: Option<Vec<RawReference>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawRule {
    pub(super) name: String,
    pub(super) event: char,
    pub(super) enabled: char,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawUnidentified {
    pub(super) updates: bool,
    pub(super) deletes: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawRowTrigger {
    #[serde(flatten)]
    pub(super) trigger: RawTrigger,
    pub(super) redundant: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawReference {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) from: String,
    pub(super) within: bool,
    pub(super) deferrable: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawTrigger {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: i16,
    pub(super) enabled: char,
}

#[expect(clippy::struct_excessive_bools, reason = "mirrors the document")]
#[derive(Debug, Deserialize)]
pub(super) struct RawColumn {
    pub(super) attnum: i16,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) type_oid: u32,
    pub(super) typmod: i32,
    pub(super) display: String,
    pub(super) not_null: bool,
    pub(super) collation: Option<RawCollation>,
    pub(super) identity: String,
    pub(super) generated: String,
    pub(super) inherited: bool,
    pub(super) can_insert: bool,
    pub(super) can_select: bool,
    pub(super) can_update: bool,
    pub(super) default: Option<String>,
    pub(super) comment: Option<String>,
}

#[expect(clippy::struct_excessive_bools, reason = "mirrors the document")]
#[derive(Debug, Deserialize)]
pub(super) struct RawKey {
    pub(super) name: String,
    pub(super) constraint: Option<String>,
    pub(super) primary: bool,
    /// Attribute numbers; 0 stands for an expression.
    pub(super) columns: Vec<i16>,
    pub(super) plain: bool,
    pub(super) valid: bool,
    pub(super) immediate: bool,
    pub(super) collations: Option<Vec<Option<RawCollation>>>,
    pub(super) nulls_not_distinct: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawCollation {
    pub(super) schema: String,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawIndex {
    pub(super) name: String,
    pub(super) valid: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawType {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) kind: char,
    pub(super) array_oid: u32,
    pub(super) display: String,
    pub(super) extension: Option<String>,
    pub(super) element: Option<u32>,
    pub(super) base: Option<u32>,
    pub(super) base_typmod: i32,
    pub(super) base_display: String,
    pub(super) not_null: bool,
    pub(super) subtype: Option<u32>,
    pub(super) labels: Option<Vec<String>>,
    pub(super) fields: Option<Vec<RawField>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawField {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) type_oid: u32,
    pub(super) typmod: i32,
    pub(super) display: String,
}
