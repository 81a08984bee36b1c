package invalidation

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// PurgeAll ends every answer that is kept of conn's database, in all processes and in
// Redis, with an event that each of them carries. A follower has received it when a look
// has completed that began after PurgeAll returned.
func PurgeAll(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, unreportedSQL, fence.SchemaText); err != nil {
		return fmt.Errorf("write the event that ends all answers: %w", explainMissing(err, conn.Config().User))
	}
	return nil
}
