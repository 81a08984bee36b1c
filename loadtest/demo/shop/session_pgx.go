package shop

import (
	"context"

	"github.com/jackc/pgx/v5"
)

type pgxSession struct{ conn *pgx.Conn }

func openPGX(ctx context.Context, dsn string, d dialect) (session, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = map[dialect]pgx.QueryExecMode{
		pgxPrepared: pgx.QueryExecModeCacheStatement,
		pgxUnnamed:  pgx.QueryExecModeExec,
		pgxSimple:   pgx.QueryExecModeSimpleProtocol,
	}[d]
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return pgxSession{conn}, nil
}

func (s pgxSession) query(ctx context.Context, sql string, args ...any) (rows, error) {
	result, err := s.conn.Query(ctx, sql, args...)
	return pgxRows{result}, err
}

func (s pgxSession) run(ctx context.Context, sql string, args ...any) error {
	_, err := s.conn.Exec(ctx, sql, args...)
	return err
}

func (s pgxSession) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), queryWaitMax)
	defer cancel()
	return s.conn.Close(ctx)
}

// pgxRows gives Close the error that only shows at the end.
type pgxRows struct{ pgx.Rows }

func (r pgxRows) Close() error {
	r.Rows.Close()
	return r.Err()
}
