package cache

import "time"

// BePatient has reads of db wait until their statements are understood, however busy the
// machine is. It is called before there are any.
func BePatient(db *DB) { db.patience = time.Minute }
