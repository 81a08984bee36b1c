package shop

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Each kind of client logs in as a role of its own, so that PostgreSQL's counters
// tell them apart.
const (
	roleApp    = "shop_app"    // readers and writers through the doors
	roleDirect = "shop_direct" // readers at PostgreSQL itself, to compare
	roleOffice = "shop_office" // writers that pass by the doors
	roleProbe  = "shop_probe"
	roleCrowd  = "shop_crowd"
	roleWatch  = "shop_watch" // looks how soon the office's changes show
)

// Visitor is the role for a human who wants to look around: it is that of the
// readers.
const Visitor = roleApp

// Verifiable are the roles as which a sidecar may repeat reads, to verify answers. The probe
// and the crowd are not among them: PostgreSQL's own count tells each of their reads apart.
var Verifiable = []string{roleApp, roleWatch}

var roles = []string{roleApp, roleDirect, roleOffice, roleProbe, roleCrowd, roleWatch}

func createRoles(ctx context.Context, conn *pgx.Conn) error {
	var text strings.Builder
	for _, role := range roles {
		// Roles outlive a database: another shop on this server may have made them.
		fmt.Fprintf(&text, `DO $$ BEGIN CREATE ROLE %[1]s LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
			GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO %[1]s;`, role)
	}
	if _, err := conn.Exec(ctx, text.String()); err != nil {
		return fmt.Errorf("create roles: %w", err)
	}
	return nil
}
