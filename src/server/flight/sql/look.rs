//! What drivers ask about the database and its tables: GetFlightInfo and DoGet of the metadata commands. A ticket is its command.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow_flight::sql::{Command, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables};
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use futures::stream::{BoxStream, StreamExt};
use prost::Message;

use super::{info, is_statement, keys, refusal, run, types, unencodable};
use crate::config::QueryAccess;
use crate::ingest::error::{Error, RequestError};
use crate::ingest::guard::{Guarded, GuardedCatalog};
use crate::ingest::ports::catalog::{KeysRequest, NamedTable, Relation, RelationType, RelationsRequest};
use crate::ingest::ports::{ReadRequest, TableDescription};
use crate::model::caller::Caller;
use crate::model::class::Class;
use crate::model::ident::Ident;
use crate::server::flight::put::PutContext;
use crate::server::flight::stream::{Answers, encoded};

/// Tables in one batch; with their schemas that are some hundred KiB.
const PAGE: u32 = 100;

type Batches = BoxStream<'static, Result<RecordBatch, Error>>;

/// The schema of a command's answer.
///
/// # Errors
/// A command that has none, or what the database says.
pub(in crate::server::flight) async fn schema(
    context: &PutContext,
    caller: &Caller,
    command: &Command,
) -> Result<SchemaRef, Error> {
    match is_statement(command) {
        true => Ok(Arc::new(run::schema(context, caller, command).await?)),
        false => known_schema(command, context.config.query_access()),
    }
}

fn known_schema(command: &Command, access: QueryAccess) -> Result<SchemaRef, Error> {
    Ok(match command {
        Command::CommandGetSqlInfo(command) => info::batch(command.clone(), access)?.schema(),
        Command::CommandGetXdbcTypeInfo(command) => types::batch(*command)?.schema(),
        Command::CommandGetCatalogs(command) => command.into_builder().schema(),
        Command::CommandGetDbSchemas(command) => command.clone().into_builder().schema(),
        Command::CommandGetTables(command) => command.clone().into_builder().schema(),
        Command::CommandGetTableTypes(command) => command.into_builder().schema(),
        Command::CommandGetPrimaryKeys(_) => keys::primary_schema(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => keys::foreign_schema(),
        other => return Err(refusal(other).into()),
    })
}

/// Describes a command's answer; its ticket is the command itself.
///
/// # Errors
/// As [`schema`].
pub(in crate::server::flight) async fn flight_info(
    context: &PutContext,
    caller: &Caller,
    command: Command,
    partitions: Option<u32>,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Error> {
    if is_statement(&command) {
        return run::flight_info(context, caller, &command, partitions, descriptor).await;
    }
    let schema = known_schema(&command, context.config.query_access())?;
    let ticket = Ticket::new(command.into_any().encode_to_vec());
    let info = FlightInfo::new().try_with_schema(&schema).map_err(unencodable)?;
    Ok(info
        .with_descriptor(descriptor)
        .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
        .with_ordered(true))
}

/// Answers a command.
///
/// # Errors
/// A command that is none of these, or what the database says.
pub(in crate::server::flight) async fn get(
    context: &PutContext,
    caller: &Caller,
    command: Command,
) -> Result<Answers<FlightData>, Error> {
    if is_statement(&command) {
        return run::get(context, caller, &command).await;
    }
    let access = context.config.query_access();
    let schema = known_schema(&command, access)?;
    let batches = match command {
        Command::CommandGetTables(command) => tables(&context.destination, caller, command).await?,
        command => {
            let batch = one(&context.destination, access, caller, command).await?;
            futures::stream::iter([Ok(batch)]).boxed()
        }
    };
    Ok(encoded(schema, batches))
}

pub(super) fn catalog(destination: &Guarded) -> Result<GuardedCatalog<'_>, Error> {
    let catalog = destination.catalog();
    catalog.ok_or_else(|| RequestError::Unsupported("there is no database to tell of".to_owned()).into())
}

/// Whether a catalog that a client names is the connected database.
fn is_meant(named: Option<&str>, database: &str) -> bool {
    named.is_none_or(|named| named == database)
}

/// Refuses rows for another database than the connected one.
///
/// # Errors
/// Its name, and that of the connected one.
pub(in crate::server::flight) async fn check_catalog(
    destination: &Guarded,
    caller: &Caller,
    named: Option<&str>,
) -> Result<(), Error> {
    let Some(named) = named else { return Ok(()) };
    let database = catalog(destination)?.database(caller).await?.name;
    match named == database {
        true => Ok(()),
        false => Err(RequestError::NotFound(format!(
            "there is no catalog {named:?} here: the connected database is {database:?}; name that, or none"
        ))
        .into()),
    }
}

async fn one(
    destination: &Guarded,
    access: QueryAccess,
    caller: &Caller,
    command: Command,
) -> Result<RecordBatch, Error> {
    let batch = match command {
        Command::CommandGetSqlInfo(command) => return info::batch(command, access),
        Command::CommandGetXdbcTypeInfo(command) => return types::batch(command),
        Command::CommandGetTableTypes(command) => return table_types(command),
        Command::CommandGetCatalogs(command) => {
            let mut told = command.into_builder();
            told.append(catalog(destination)?.database(caller).await?.name);
            told.build()
        }
        Command::CommandGetDbSchemas(command) => return schemas(destination, caller, command).await,
        command => return all_keys(destination, caller, command).await,
    };
    batch.map_err(unencodable)
}

fn table_types(command: CommandGetTableTypes) -> Result<RecordBatch, Error> {
    let mut told = command.into_builder();
    for kind in RelationType::ALL {
        told.append(kind.words());
    }
    told.build().map_err(unencodable)
}

async fn schemas(destination: &Guarded, caller: &Caller, command: CommandGetDbSchemas) -> Result<RecordBatch, Error> {
    let catalog = catalog(destination)?;
    let database = catalog.database(caller).await?.name;
    let found = match is_meant(command.catalog.as_deref(), &database) {
        true => {
            catalog
                .schemas(caller, command.db_schema_filter_pattern.as_deref())
                .await?
        }
        false => Vec::new(),
    };
    // What the database matched is not matched again: its LIKE and Arrow's differ in escapes.
    let mut told = CommandGetDbSchemas::default().into_builder();
    for schema in &found {
        told.append(&database, schema);
    }
    told.build().map_err(unencodable)
}

async fn all_keys(destination: &Guarded, caller: &Caller, command: Command) -> Result<RecordBatch, Error> {
    let catalog = catalog(destination)?;
    let database = catalog.database(caller).await?.name;
    let named = |schema: Option<String>, table: String| NamedTable {
        schema,
        table: (!table.is_empty()).then_some(table),
    };
    let batch = match command {
        Command::CommandGetPrimaryKeys(of) => {
            let found = match is_meant(of.catalog.as_deref(), &database) {
                true => catalog.primary_keys(caller, &named(of.db_schema, of.table)).await?,
                false => Vec::new(),
            };
            keys::primary(&database, &found)
        }
        other => {
            let (meant, between) = match other {
                Command::CommandGetExportedKeys(of) => (
                    is_meant(of.catalog.as_deref(), &database),
                    KeysRequest {
                        to: named(of.db_schema, of.table),
                        ..KeysRequest::default()
                    },
                ),
                Command::CommandGetImportedKeys(of) => (
                    is_meant(of.catalog.as_deref(), &database),
                    KeysRequest {
                        from: named(of.db_schema, of.table),
                        ..KeysRequest::default()
                    },
                ),
                Command::CommandGetCrossReference(of) => (
                    is_meant(of.pk_catalog.as_deref(), &database) && is_meant(of.fk_catalog.as_deref(), &database),
                    KeysRequest {
                        to: named(of.pk_db_schema, of.pk_table),
                        from: named(of.fk_db_schema, of.fk_table),
                    },
                ),
                other => return Err(refusal(&other).into()),
            };
            let found = match meant {
                true => catalog.foreign_keys(caller, &between).await?,
                false => Vec::new(),
            };
            keys::foreign(&database, &found)
        }
    };
    batch.map_err(unencodable)
}

/// A listing of tables under way. Pages are asked for as the client reads.
struct Listing {
    destination: Guarded,
    caller: Caller,
    database: String,
    request: RelationsRequest,
    with_schema: bool,
    ended: bool,
}

async fn tables(destination: &Guarded, caller: &Caller, command: CommandGetTables) -> Result<Batches, Error> {
    let database = catalog(destination)?.database(caller).await?.name;
    let known = |words: &String| RelationType::ALL.into_iter().find(|kind| kind.words() == words);
    let kinds: Vec<RelationType> = command.table_types.iter().filter_map(known).collect();
    // Types that are not known here match nothing.
    let none = !command.table_types.is_empty() && kinds.is_empty();
    let mut listing = Listing {
        destination: destination.clone(),
        caller: caller.clone(),
        with_schema: command.include_schema,
        ended: none || !is_meant(command.catalog.as_deref(), &database),
        database,
        request: RelationsRequest {
            schema_like: command.db_schema_filter_pattern,
            name_like: command.table_name_filter_pattern,
            kinds,
            after: None,
            limit: PAGE,
        },
    };
    // What fails at once is the call's own failure.
    let first = listing.page().await?;
    let rest = futures::stream::unfold(listing, |mut listing| async move {
        if listing.ended {
            return None;
        }
        let page = listing.page().await;
        listing.ended |= page.is_err();
        Some((page, listing))
    });
    Ok(futures::stream::iter([Ok(first)]).chain(rest).boxed())
}

impl Listing {
    async fn page(&mut self) -> Result<RecordBatch, Error> {
        let mut told = CommandGetTables {
            include_schema: self.with_schema,
            ..CommandGetTables::default()
        }
        .into_builder();
        if !self.ended {
            let found = catalog(&self.destination)?
                .relations(&self.caller, &self.request)
                .await?;
            self.ended = found.len() < PAGE as usize;
            self.request.after = found.last().map(|relation| relation.name.clone());
            for relation in found {
                let Some(schema) = self.schema_of(&relation).await? else {
                    continue;
                };
                let name = &relation.name;
                let of = name.schema.as_ref().map_or("", Ident::as_str);
                let appended = told.append(&self.database, of, name.name.as_str(), relation.kind.words(), &schema);
                appended.map_err(unencodable)?;
            }
        }
        told.build().map_err(unencodable)
    }

    /// The schema of a table, where that is asked for; `None` for one that was dropped since the page was read.
    async fn schema_of(&self, relation: &Relation) -> Result<Option<Schema>, Error> {
        if !self.with_schema {
            return Ok(Some(Schema::empty()));
        }
        let request = ReadRequest::all(relation.name.clone());
        match self.destination.describe(&self.caller, request).await {
            Ok(description) => Ok(Some(for_drivers(&description, &self.database))),
            Err(error) if error.class() == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A table's schema with what JDBC looks for in the metadata of its fields.
fn for_drivers(description: &TableDescription, database: &str) -> Schema {
    let name = &description.table;
    let field = |(n, field): (usize, &FieldRef)| -> Field {
        let mut metadata = field.metadata().clone();
        let mut note = |key: &str, value: &str| {
            metadata.insert(format!("ARROW:FLIGHT:SQL:{key}"), value.to_owned());
        };
        note("CATALOG_NAME", database);
        note("DB_SCHEMA_NAME", name.schema.as_ref().map_or("", Ident::as_str));
        note("TABLE_NAME", name.name.as_str());
        if let Some(ty) = description.types.get(n) {
            note("TYPE_NAME", ty);
        }
        field.as_ref().clone().with_metadata(metadata)
    };
    let fields: Vec<Field> = description.schema.fields().iter().enumerate().map(field).collect();
    Schema::new(fields)
}
