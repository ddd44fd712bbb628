package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"
	"github.com/rs/zerolog"
)

// recordRows is the size of one record.
const recordRows = 1000

type server struct {
	Name, Address, Spec string
}

// TestThroughput measures, and tests nothing: the same Write calls to every server of PGFLIGHT_BENCH_SERVERS, one after the
// other. Messages are encoded before the clock starts; it stops when the server has answered.
func TestThroughput(t *testing.T) {
	text := os.Getenv("PGFLIGHT_BENCH_SERVERS")
	if text == "" {
		t.Skip("a measurement: benches/cloudquery.rs runs it")
	}
	var servers []server
	if err := json.Unmarshal([]byte(text), &servers); err != nil {
		t.Fatal(err)
	}
	rows, err := strconv.Atoi(os.Getenv("PGFLIGHT_BENCH_ROWS"))
	if err != nil {
		t.Fatal(err)
	}
	if err := types.RegisterAllExtensions(); err != nil {
		t.Fatal(err)
	}
	kind := os.Getenv("PGFLIGHT_BENCH_CASE")
	// "plain" leaves out structs and lists, whose texts make a row of the test table some kilobytes long.
	plain := os.Getenv("PGFLIGHT_BENCH_TABLE") == "plain"
	options := schema.TestSourceOptions{SkipMaps: true, SkipStructs: plain, SkipLists: plain}
	table := schema.TestTable("bench_"+kind, options)
	table.Columns[0].PrimaryKey = kind == "upsert"
	calls := 1
	if kind == "upsert" {
		calls = 2 // into the empty table, and other values for the same keys
	}
	for call := range calls {
		requests := inserts(t, table, rows, uint64(call))
		seconds := map[string]float64{}
		for _, each := range servers {
			seconds[each.Name] = timed(t, each, table, requests)
		}
		line, _ := json.Marshal(map[string]any{
			"case": kind, "columns": len(table.Columns), "call": call + 1, "rows": rows,
			"bytes": size(requests), "seconds": seconds,
		})
		fmt.Printf("measured %s\n", line)
	}
}

func size(requests []*pb.Write_Request) int {
	bytes := 0
	for _, request := range requests {
		bytes += len(request.GetInsert().Record)
	}
	return bytes
}

func timed(t *testing.T, to server, table *schema.Table, requests []*pb.Write_Request) float64 {
	ctx := context.Background()
	t.Setenv("PGFLIGHT_ADDRESS", to.Address)
	connected, err := connect(ctx, zerolog.Nop(), []byte(to.Spec), plugin.NewClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client := connected.(*remote)
	bytes, err := pb.SchemaToBytes(table.ToArrowSchema())
	if err != nil {
		t.Fatal(err)
	}
	migrate := &pb.Write_Request{Message: &pb.Write_Request_MigrateTable{MigrateTable: &pb.Write_MessageMigrateTable{Table: bytes}}}
	send(t, client, []*pb.Write_Request{migrate})
	started := time.Now()
	send(t, client, requests)
	took := time.Since(started).Seconds()
	if err := client.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return took
}

func send(t *testing.T, client *remote, requests []*pb.Write_Request) {
	call, err := client.server.Write(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range requests {
		if call.Send(request) != nil {
			break
		}
	}
	if _, err := call.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
}

// inserts are the same rows of the SDK's generator again and again, with ids of their own.
func inserts(t *testing.T, table *schema.Table, rows int, seed uint64) []*pb.Write_Request {
	options := schema.GenTestDataOptions{MaxRows: recordRows, StableTime: time.Now(), TimePrecision: time.Microsecond}
	record := schema.NewTestDataGenerator(seed).Generate(table, options)
	var requests []*pb.Write_Request
	for first := 0; first < rows; first += recordRows {
		ids := array.NewInt64Builder(memory.DefaultAllocator)
		for row := range recordRows {
			ids.Append(int64(first + row))
		}
		columns := append([]arrow.Array{ids.NewArray()}, record.Columns()[1:]...)
		bytes, err := pb.RecordToBytes(array.NewRecordBatch(record.Schema(), columns, recordRows))
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, &pb.Write_Request{Message: &pb.Write_Request_Insert{Insert: &pb.Write_MessageInsert{Record: bytes}}})
	}
	return requests
}
