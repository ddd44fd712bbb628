// Package suite runs the SDK's published test suite for destinations against a running server: a plugin whose writes and
// reads are forwarded over the protocol, each in a call of its own.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const mostBytes = 200 << 20

func TestWriter(t *testing.T) {
	if err := types.RegisterAllExtensions(); err != nil {
		t.Fatal(err)
	}
	p := plugin.NewPlugin("pgflight", "v1.0.0", connect)
	if err := p.Init(context.Background(), []byte("{}"), plugin.NewClientOptions{}); err != nil {
		t.Fatal(err)
	}
	plugin.TestWriterSuiteRunner(t, p,
		plugin.WriterTestSuiteTests{SafeMigrations: plugin.SafeMigrations{
			AddColumn:              true,
			RemoveColumn:           true,
			RemoveColumnNotNull:    true,
			RemoveUniqueConstraint: true,
			MovePKToCQOnly:         true,
		}},
		plugin.WithTestDataOptions(schema.TestSourceOptions{TimePrecision: time.Microsecond}),
	)
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// remote is a client of the server at PGFLIGHT_ADDRESS.
type remote struct {
	plugin.UnimplementedSource
	connection *grpc.ClientConn
	server     pb.PluginClient
}

func connect(ctx context.Context, _ zerolog.Logger, spec []byte, options plugin.NewClientOptions) (plugin.Client, error) {
	connection, err := grpc.NewClient(os.Getenv("PGFLIGHT_ADDRESS"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostBytes), grpc.MaxCallSendMsgSize(mostBytes)))
	if err != nil {
		return nil, err
	}
	server := pb.NewPluginClient(connection)
	if _, err := server.Init(ctx, &pb.Init_Request{Spec: spec, InvocationId: options.InvocationID}); err != nil {
		return nil, err
	}
	return &remote{connection: connection, server: server}, nil
}

func (r *remote) Close(ctx context.Context) error {
	_, err := r.server.Close(ctx, &pb.Close_Request{})
	return errors.Join(err, r.connection.Close())
}

func (r *remote) Write(ctx context.Context, messages <-chan message.WriteMessage) error {
	call, err := r.server.Write(ctx)
	if err != nil {
		return err
	}
	for each := range messages {
		request, err := encode(each)
		if err != nil {
			return err
		}
		// A call that ended early says why when it is closed.
		if err := call.Send(request); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	_, err = call.CloseAndRecv()
	return err
}

func (r *remote) Read(ctx context.Context, table *schema.Table, records chan<- arrow.RecordBatch) error {
	bytes, err := pb.SchemaToBytes(table.ToArrowSchema())
	if err != nil {
		return err
	}
	call, err := r.server.Read(ctx, &pb.Read_Request{Table: bytes})
	if err != nil {
		return err
	}
	for {
		answer, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		record, err := pb.NewRecordFromBytes(answer.Record)
		if err != nil {
			return err
		}
		records <- record
	}
}

func encode(sent message.WriteMessage) (*pb.Write_Request, error) {
	switch m := sent.(type) {
	case *message.WriteMigrateTable:
		table, err := pb.SchemaToBytes(m.Table.ToArrowSchema())
		migrate := &pb.Write_MessageMigrateTable{Table: table, MigrateForce: m.MigrateForce}
		return &pb.Write_Request{Message: &pb.Write_Request_MigrateTable{MigrateTable: migrate}}, err
	case *message.WriteInsert:
		record, err := pb.RecordToBytes(m.Record)
		insert := &pb.Write_MessageInsert{Record: record}
		return &pb.Write_Request{Message: &pb.Write_Request_Insert{Insert: insert}}, err
	case *message.WriteDeleteStale:
		stale := &pb.Write_MessageDeleteStale{
			TableName:  m.TableName,
			SourceName: m.SourceName,
			SyncTime:   timestamppb.New(m.SyncTime),
		}
		return &pb.Write_Request{Message: &pb.Write_Request_Delete{Delete: stale}}, nil
	case *message.WriteDeleteRecord:
		return encodeDeletion(m)
	default:
		return nil, fmt.Errorf("the suite sent a %T", sent)
	}
}

func encodeDeletion(m *message.WriteDeleteRecord) (*pb.Write_Request, error) {
	deletion := &pb.Write_MessageDeleteRecord{TableName: m.TableName}
	for _, group := range m.WhereClause {
		encoded := &pb.PredicatesGroup{
			GroupingType: pb.PredicatesGroup_GroupingType(pb.PredicatesGroup_GroupingType_value[group.GroupingType]),
		}
		for _, predicate := range group.Predicates {
			record, err := pb.RecordToBytes(predicate.Record)
			if err != nil {
				return nil, err
			}
			operator := pb.Predicate_Operator(pb.Predicate_Operator_value[predicate.Operator])
			encoded.Predicates = append(encoded.Predicates,
				&pb.Predicate{Operator: operator, Column: predicate.Column, Record: record})
		}
		deletion.WhereClause = append(deletion.WhereClause, encoded)
	}
	for _, relation := range m.TableRelations {
		deletion.TableRelations = append(deletion.TableRelations,
			&pb.TableRelation{TableName: relation.TableName, ParentTable: relation.ParentTable})
	}
	return &pb.Write_Request{Message: &pb.Write_Request_DeleteRecord{DeleteRecord: deletion}}, nil
}
