// Command transformer is a CloudQuery transformer on the published SDK: it renames every table, leaves out a column and adds one.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/serve"
	"github.com/rs/zerolog"
)

type client struct {
	plugin.UnimplementedDestination
	plugin.UnimplementedSource
	Prefix string `json:"prefix"`
	// Drop is a column to leave out, Shout one whose text is added in capitals.
	Drop  string `json:"drop"`
	Shout string `json:"shout"`
}

func main() {
	p := plugin.NewPlugin("shouting", "v1.0.0", newClient, plugin.WithKind("transformer"), plugin.WithTeam("pgflight"))
	if err := serve.Plugin(p).Serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newClient(_ context.Context, _ zerolog.Logger, spec []byte, options plugin.NewClientOptions) (plugin.Client, error) {
	c := &client{}
	if options.NoConnection {
		return c, nil
	}
	return c, json.Unmarshal(spec, c)
}

func (*client) Close(context.Context) error { return nil }

func (c *client) TransformSchema(_ context.Context, old *arrow.Schema) (*arrow.Schema, error) {
	fields := make([]arrow.Field, 0, old.NumFields()+1)
	for _, field := range old.Fields() {
		if field.Name != c.Drop {
			fields = append(fields, field)
		}
	}
	if old.HasField(c.Shout) {
		fields = append(fields, arrow.Field{Name: c.Shout + "_loud", Type: arrow.BinaryTypes.String, Nullable: true})
	}
	words := old.Metadata().ToMap()
	words[schema.MetadataTableName] = c.Prefix + words[schema.MetadataTableName]
	metadata := arrow.MetadataFrom(words)
	return arrow.NewSchema(fields, &metadata), nil
}

func (c *client) Transform(ctx context.Context, in <-chan arrow.RecordBatch, out chan<- arrow.RecordBatch) error {
	for record := range in {
		changed, err := c.TransformSchema(ctx, record.Schema())
		if err != nil {
			return err
		}
		columns := make([]arrow.Array, 0, changed.NumFields())
		for at, column := range record.Columns() {
			if record.ColumnName(at) != c.Drop {
				columns = append(columns, column)
			}
		}
		if at := record.Schema().FieldIndices(c.Shout); len(at) > 0 {
			columns = append(columns, loud(record.Column(at[0])))
		}
		out <- array.NewRecordBatch(changed, columns, record.NumRows())
	}
	return nil
}

func loud(column arrow.Array) arrow.Array {
	builder := array.NewStringBuilder(memory.DefaultAllocator)
	for row := range column.Len() {
		if column.IsNull(row) {
			builder.AppendNull()
		} else {
			builder.Append(strings.ToUpper(column.ValueStr(row)))
		}
	}
	return builder.NewArray()
}
