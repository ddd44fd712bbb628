package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/state"
	"github.com/cloudquery/plugin-sdk/v4/types"
)

// expectation writes rows as JSON: {"table": .., "row": {column: value}}, where each value is what jsonb_populate_record
// turns into the value that the destination's column should hold.
type expectation struct {
	mutex sync.Mutex
	file  *os.File
	lines *bufio.Writer
}

func expect(path string) (*expectation, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &expectation{file: file, lines: bufio.NewWriter(file)}, nil
}

func (e *expectation) add(record arrow.RecordBatch) error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	table, _ := record.Schema().Metadata().GetValue(schema.MetadataTableName)
	for row := range int(record.NumRows()) {
		values := map[string]any{}
		for at, column := range record.Columns() {
			values[record.ColumnName(at)] = value(column, row)
		}
		line, err := json.Marshal(map[string]any{"table": table, "row": values})
		if err != nil {
			return err
		}
		if _, err := e.lines.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (e *expectation) close() error {
	if e == nil {
		return nil
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if err := e.lines.Flush(); err != nil {
		return err
	}
	return e.file.Close()
}

// value is one cell. Whatever has no column type of its own is text, in the words of the Arrow library itself.
func value(column arrow.Array, row int) any {
	if column.IsNull(row) {
		return nil
	}
	switch a := column.(type) {
	case *array.Boolean:
		return a.Value(row)
	case *array.Int8, *array.Int16, *array.Int32, *array.Int64, *array.Uint8, *array.Uint16, *array.Uint32, *array.Uint64:
		return json.Number(column.ValueStr(row))
	case *array.Float32:
		return json.Number(strconv.FormatFloat(float64(a.Value(row)), 'g', -1, 32))
	case *array.Float64:
		return json.Number(strconv.FormatFloat(a.Value(row), 'g', -1, 64))
	case *array.Decimal128:
		return a.Value(row).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Binary:
		return `\x` + hex.EncodeToString(a.Value(row))
	case *array.LargeBinary:
		return `\x` + hex.EncodeToString(a.Value(row))
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return a.Value(row).ToTime(unit).UTC().Truncate(time.Microsecond).Format("2006-01-02 15:04:05.000000")
	case *array.Time32:
		return a.Value(row).ToTime(a.DataType().(*arrow.Time32Type).Unit).Format("15:04:05.000000")
	case *array.Time64:
		return a.Value(row).ToTime(a.DataType().(*arrow.Time64Type).Unit).Format("15:04:05.000000")
	case *array.Date32:
		return a.Value(row).ToTime().Format("2006-01-02")
	case *array.Date64:
		return a.Value(row).ToTime().Format("2006-01-02")
	case *types.JSONArray:
		return json.RawMessage(a.ValueStr(row))
	case *array.Map:
		return a.ValueStr(row)
	case array.ListLike:
		start, end := a.ValueOffsets(row)
		list := make([]any, 0, end-start)
		for at := start; at < end; at++ {
			list = append(list, value(a.ListValues(), int(at)))
		}
		return list
	default:
		return strings.ReplaceAll(column.ValueStr(row), "\x00", "")
	}
}

// useState keeps a cursor in the destination as an incremental source does: each sync finds what the last one left.
func useState(ctx context.Context, options *plugin.BackendOptions) error {
	if options == nil {
		return nil
	}
	cursors, err := state.NewConnectedClient(ctx, options)
	if err != nil {
		return fmt.Errorf("the state backend: %w", err)
	}
	text, err := cursors.GetKey(ctx, "syncs")
	if err != nil {
		return fmt.Errorf("the state backend: %w", err)
	}
	syncs := 0
	if text != "" {
		if syncs, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("the state backend kept %q: %w", text, err)
		}
	}
	if err := cursors.SetKey(ctx, "syncs", strconv.Itoa(syncs+1)); err != nil {
		return fmt.Errorf("the state backend: %w", err)
	}
	if err := cursors.Flush(ctx); err != nil {
		return fmt.Errorf("the state backend: %w", err)
	}
	return cursors.Close()
}

// hold says that rows are sent, and waits to be let go.
func (c *client) hold(ctx context.Context) error {
	if c.spec.Hold == "" {
		return nil
	}
	if err := os.WriteFile(c.spec.Hold+".reached", nil, 0o600); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(c.spec.Hold); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
