// Ingests rows by Flight SQL with arrow-go's own client, looks at the table that they made and, where statements may be run
// (flight_sql.queries), reads them back.
//
//	go run . 127.0.0.1:8815 people
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	if err := tour(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func tour(ctx context.Context, address, table string) error {
	client, err := flightsql.NewClient(address, nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer client.Close()

	stored, err := client.ExecuteIngest(ctx, rows(), &flightsql.ExecuteIngestOpts{
		TableDefinitionOptions: &flightsql.TableDefinitionOptions{
			IfNotExist: flightsql.TableDefinitionOptionsTableNotExistOptionCreate,
			IfExists:   flightsql.TableDefinitionOptionsTableExistsOptionAppend,
		},
		Table: table,
	})
	if err != nil {
		return err
	}
	fmt.Printf("ingested %d rows\n", stored)

	info, err := client.GetTables(ctx, &flightsql.GetTablesOpts{TableNameFilterPattern: &table})
	if err != nil {
		return err
	}
	found, err := count(ctx, client, info)
	if err != nil {
		return err
	}
	fmt.Printf("%d tables of that name\n", found)

	info, err = client.Execute(ctx, "select id, name from "+table)
	if err != nil {
		fmt.Printf("refused %v\n", err)
		return nil
	}
	if found, err = count(ctx, client, info); err != nil {
		return err
	}
	fmt.Printf("read %d rows\n", found)
	return nil
}

func rows() array.RecordReader {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	builder.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2}, nil)
	builder.Field(1).(*array.StringBuilder).AppendValues([]string{"Ada", ""}, []bool{true, false})
	reader, err := array.NewRecordReader(schema, []arrow.RecordBatch{builder.NewRecordBatch()})
	if err != nil {
		log.Fatal(err)
	}
	return reader
}

func count(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo) (int64, error) {
	var found int64
	for _, endpoint := range info.Endpoint {
		reader, err := client.DoGet(ctx, endpoint.Ticket)
		if err != nil {
			return 0, err
		}
		for reader.Next() {
			found += reader.RecordBatch().NumRows()
		}
		err = reader.Err()
		reader.Release()
		if err != nil {
			return 0, err
		}
	}
	return found, nil
}
