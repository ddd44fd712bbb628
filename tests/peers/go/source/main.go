// Command source is a CloudQuery source on the published SDK. Its rows are the same in every run, and it writes down what
// the tables of a destination should hold, so that a test needs no second destination to compare with.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/scheduler"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/serve"
	"github.com/rs/zerolog"
)

// spec is what a test asks for.
type spec struct {
	// Orders is the number of rows of the top table, per account.
	Orders int `json:"orders"`
	// Items is the number of rows below each order, Notes below each item.
	Items int `json:"items"`
	Notes int `json:"notes"`
	// Types is the number of rows of the table with every type.
	Types int `json:"types"`
	// Revision is part of every label, so that a later sync changes rows.
	Revision int `json:"revision"`
	// ExtraColumn adds a nullable column to the top table; Retype makes its quantity a text.
	ExtraColumn bool `json:"extra_column"`
	Retype      bool `json:"retype"`
	// LongColumn is the name of a further text column of the top table.
	LongColumn string `json:"long_column"`
	// Delete holds numbers of orders to delete with all that hangs below them.
	Delete []int64 `json:"delete"`
	// Expected is the file that gets a line per row.
	Expected string `json:"expected"`
	// Hold is a file: once rows are sent the source makes Hold.reached, and goes on when Hold is there.
	Hold string `json:"hold"`
	// Fail ends the sync with an error.
	Fail bool `json:"fail"`
}

type client struct {
	plugin.UnimplementedDestination
	logger   zerolog.Logger
	spec     spec
	tables   schema.Tables
	expected *expectation
}

func main() {
	p := plugin.NewPlugin("peers", "v1.0.0", newClient,
		plugin.WithKind("source"),
		plugin.WithTeam("pgflight"),
		plugin.WithConnectionTester(func(context.Context, zerolog.Logger, []byte) error { return nil }))
	if err := serve.Plugin(p).Serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newClient(_ context.Context, logger zerolog.Logger, bytes []byte, options plugin.NewClientOptions) (plugin.Client, error) {
	c := &client{logger: logger}
	if !options.NoConnection {
		if err := json.Unmarshal(bytes, &c.spec); err != nil {
			return nil, fmt.Errorf("the source's spec: %w", err)
		}
	}
	c.tables = tables(&c.spec)
	return c, nil
}

func (c *client) Close(context.Context) error { return nil }

func (c *client) Tables(_ context.Context, options plugin.TableOptions) (schema.Tables, error) {
	return c.tables.FilterDfs(options.Tables, options.SkipTables, options.SkipDependentTables)
}

// OnBeforeSend sees every message as it leaves for the CLI.
func (c *client) OnBeforeSend(_ context.Context, sent message.SyncMessage) (message.SyncMessage, error) {
	if insert, ok := sent.(*message.SyncInsert); ok && c.expected != nil {
		return sent, c.expected.add(insert.Record)
	}
	return sent, nil
}

func (c *client) OnSyncFinish(context.Context) error {
	return c.expected.close()
}

func (c *client) Sync(ctx context.Context, options plugin.SyncOptions, out chan<- message.SyncMessage) error {
	wanted, err := c.Tables(ctx, plugin.TableOptions{Tables: options.Tables, SkipTables: options.SkipTables})
	if err != nil {
		return err
	}
	if c.expected, err = expect(c.spec.Expected); err != nil {
		return err
	}
	if err := useState(ctx, options.BackendOptions); err != nil {
		return err
	}
	types, scheduled := split(wanted)
	if types != nil {
		types = types.Copy(nil)
		if options.DeterministicCQID {
			schema.CqIDAsPK(types)
		}
		out <- &message.SyncMigrateTable{Table: types}
	}
	if len(scheduled) > 0 {
		s := scheduler.NewScheduler(scheduler.WithLogger(c.logger))
		deterministic := scheduler.WithSyncDeterministicCQID(options.DeterministicCQID)
		all := []scheduler.SyncOption{deterministic}
		if shard := options.Shard; shard != nil {
			all = append(all, scheduler.WithShard(shard.Num, shard.Total))
		}
		if err := s.Sync(ctx, c, scheduled, out, all...); err != nil {
			return err
		}
	}
	if types != nil && (options.Shard == nil || options.Shard.Num == 1) {
		c.sendTypes(types, options.DeterministicCQID, out)
	}
	if len(c.spec.Delete) > 0 {
		out <- deletion(c.spec.Delete)
	}
	if err := c.hold(ctx); err != nil {
		return err
	}
	if c.spec.Fail {
		return fmt.Errorf("the source was told to fail")
	}
	return nil
}

// split takes the table with every type out, whose rows do not come from the scheduler.
func split(all schema.Tables) (types *schema.Table, rest schema.Tables) {
	for _, table := range all {
		if table.Name == typesTable {
			types = table
		} else {
			rest = append(rest, table)
		}
	}
	return types, rest
}
