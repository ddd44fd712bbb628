package main

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"
)

const typesTable = "peers_types"

// moment is the time of every row.
var moment = time.Date(2024, 2, 29, 23, 59, 58, 123456000, time.UTC)

type order struct {
	Account  string
	Number   int64
	Label    string
	Quantity any
	Document any
	PlacedAt any
	Address  any
	Hardware any
	Tags     []string
	Extra    any
}

type item struct {
	Position int64
	Name     string
	Weight   float64
}

type note struct {
	Text string
}

func tables(s *spec) schema.Tables {
	columns := schema.ColumnList{
		{Name: "account", Type: arrow.BinaryTypes.String, PrimaryKey: true, NotNull: true},
		{Name: "number", Type: arrow.PrimitiveTypes.Int64, PrimaryKey: true, NotNull: true},
		{Name: "label", Type: arrow.BinaryTypes.String},
		{Name: "quantity", Type: arrow.PrimitiveTypes.Int64, NotNull: true},
		{Name: "document", Type: types.ExtensionTypes.JSON},
		{Name: "placed_at", Type: arrow.FixedWidthTypes.Timestamp_us},
		{Name: "address", Type: types.ExtensionTypes.Inet},
		{Name: "hardware", Type: types.ExtensionTypes.MAC},
		{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String)},
	}
	if s.Retype {
		columns[3].Type = arrow.BinaryTypes.String
	}
	if s.ExtraColumn {
		columns = append(columns, schema.Column{Name: "extra", Type: arrow.PrimitiveTypes.Float64})
	}
	if s.LongColumn != "" {
		columns = append(columns, schema.Column{
			Name:     s.LongColumn,
			Type:     arrow.BinaryTypes.String,
			Resolver: schema.PathResolver("Label"),
		})
	}
	orders := &schema.Table{
		Name:        "peers_orders",
		Description: "Orders of every account",
		Columns:     columns,
		Multiplex:   accounts,
		Resolver:    s.orders,
		Relations: schema.Tables{{
			Name: "peers_items",
			Columns: schema.ColumnList{
				{Name: "account", Type: arrow.BinaryTypes.String, PrimaryKey: true, Resolver: schema.ParentColumnResolver("account")},
				{Name: "number", Type: arrow.PrimitiveTypes.Int64, PrimaryKey: true, Resolver: schema.ParentColumnResolver("number")},
				{Name: "position", Type: arrow.PrimitiveTypes.Int64, PrimaryKey: true},
				{Name: "name", Type: arrow.BinaryTypes.String},
				{Name: "weight", Type: arrow.PrimitiveTypes.Float64},
			},
			Resolver: s.items,
			Relations: schema.Tables{{
				// Without a key of its own, so that _cq_id becomes the key.
				Name:     "peers_notes",
				Columns:  schema.ColumnList{{Name: "text", Type: arrow.BinaryTypes.String}},
				Resolver: s.notes,
			}},
		}},
	}
	every := schema.TestTable(typesTable, schema.TestSourceOptions{})
	every.Columns[0].PrimaryKey = true
	schema.AddCqIDs(orders)
	schema.AddCqIDs(every)
	setParents(orders)
	return schema.Tables{orders, every}
}

func setParents(table *schema.Table) {
	for _, below := range table.Relations {
		below.Parent = table
		setParents(below)
	}
}

type account string

func (a account) ID() string { return string(a) }

func (*client) ID() string { return "peers" }

func accounts(schema.ClientMeta) []schema.ClientMeta {
	return []schema.ClientMeta{account("first"), account("second")}
}

func (s *spec) orders(_ context.Context, meta schema.ClientMeta, _ *schema.Resource, out chan<- any) error {
	for number := range s.Orders {
		made := order{
			Account:  meta.ID(),
			Number:   int64(number),
			Label:    fmt.Sprintf("order %d, revision %d, \"quoted\" \\ \t ünïcode \U0001f41f", number, s.Revision),
			Quantity: int64(number) * 1_000_000_007,
			Tags:     []string{},
			Extra:    float64(number) / 3,
		}
		if s.Retype {
			made.Quantity = fmt.Sprint(made.Quantity)
		}
		// Every third row has nothing where nothing is allowed.
		if number%3 != 2 {
			made.Document = map[string]any{"z": []any{1, 2.5, nil, "<&>"}, "a": map[string]any{"n": number}}
			made.PlacedAt = moment.Add(time.Duration(number) * time.Hour)
			made.Address = fmt.Sprintf("10.%d.0.7/20", number%200)
			made.Hardware = fmt.Sprintf("02:00:00:00:00:%02x", number%256)
			made.Tags = []string{"a,b", "", `c"d`, fmt.Sprint(number)}
		}
		out <- made
	}
	return nil
}

func (s *spec) items(_ context.Context, _ schema.ClientMeta, parent *schema.Resource, out chan<- any) error {
	of := parent.Item.(order)
	for position := range s.Items {
		out <- item{
			Position: int64(position),
			Name:     fmt.Sprintf("item %d of %d, revision %d", position, of.Number, s.Revision),
			Weight:   float64(of.Number*10+int64(position)) / 7,
		}
	}
	return nil
}

func (s *spec) notes(_ context.Context, _ schema.ClientMeta, parent *schema.Resource, out chan<- any) error {
	of := parent.Item.(item)
	for each := range s.Notes {
		out <- note{Text: fmt.Sprintf("note %d on %s", each, of.Name)}
	}
	return nil
}

// sendTypes sends rows from the SDK's own generator, and as many again without values.
func (c *client) sendTypes(table *schema.Table, deterministic bool, out chan<- message.SyncMessage) {
	generator := schema.NewTestDataGenerator(0)
	revision := c.spec.Revision
	if deterministic {
		revision = 0
	}
	for _, empty := range []bool{false, true} {
		options := schema.GenTestDataOptions{
			MaxRows:       c.spec.Types,
			StableTime:    moment,
			TimePrecision: time.Microsecond,
			NullRows:      empty,
		}
		if c.spec.Types > 0 {
			out <- &message.SyncInsert{Record: withIDs(table, generator.Generate(table, options), revision, empty)}
		}
	}
}

// withIDs gives rows ids that differ, and in every revision others, as sources do: the generator repeats itself.
func withIDs(table *schema.Table, record arrow.RecordBatch, revision int, empty bool) arrow.RecordBatch {
	builder := types.NewUUIDBuilder(memory.DefaultAllocator)
	for row := range int(record.NumRows()) {
		kind := 0
		if empty {
			kind = 1
		}
		id := fmt.Sprintf("00000000-%04d-4000-8000-%04d%08d", revision, kind, row)
		if err := builder.AppendValueFromString(id); err != nil {
			panic(err)
		}
	}
	columns := record.Columns()
	columns[table.Columns.Index(schema.CqIDColumn.Name)] = builder.NewArray()
	return array.NewRecordBatch(record.Schema(), columns, record.NumRows())
}

// deletion asks for orders to go, whatever their account, with their items and notes.
func deletion(numbers []int64) message.SyncMessage {
	group := message.PredicateGroup{GroupingType: "OR"}
	for _, number := range numbers {
		sc := arrow.NewSchema([]arrow.Field{{Name: "number", Type: arrow.PrimitiveTypes.Int64}}, nil)
		builder := array.NewRecordBuilder(memory.DefaultAllocator, sc)
		builder.Field(0).(*array.Int64Builder).Append(number)
		group.Predicates = append(group.Predicates, message.Predicate{
			Operator: "EQ",
			Column:   "number",
			Record:   builder.NewRecordBatch(),
		})
	}
	return &message.SyncDeleteRecord{DeleteRecord: message.DeleteRecord{
		TableName:   "peers_orders",
		WhereClause: message.PredicateGroups{group},
		TableRelations: message.TableRelations{
			{TableName: "peers_items", ParentTable: "peers_orders"},
			{TableName: "peers_notes", ParentTable: "peers_items"},
		},
	}}
}
