//go:build tools

// Package peers pins the programs of the CloudQuery tests; scripts/cloudquery-peers builds them.
package peers

import _ "github.com/cloudquery/cloudquery/cli/v6"
