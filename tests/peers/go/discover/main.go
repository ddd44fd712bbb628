// Command discover asks a plugin which versions of the protocol it speaks, by both versions of the discovery service.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	v0 "github.com/cloudquery/plugin-pb-go/pb/discovery/v0"
	v1 "github.com/cloudquery/plugin-pb-go/pb/discovery/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	if err := ask(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	old, err := v0.NewDiscoveryClient(connection).GetVersions(ctx, &v0.GetVersions_Request{})
	if err != nil {
		return fmt.Errorf("discovery v0: %w", err)
	}
	current, err := v1.NewDiscoveryClient(connection).GetVersions(ctx, &v1.GetVersions_Request{})
	if err != nil {
		return fmt.Errorf("discovery v1: %w", err)
	}
	fmt.Println(old.GetVersions(), current.GetVersions())
	return nil
}
