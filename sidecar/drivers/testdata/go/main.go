// The programs of Go's object mappers, as one: it is linked once. Its argument says which one
// it is to be.
package main

import (
	"log"
	"os"

	"github.com/freshet/freshet/sidecar/drivers/testdata/go/bun"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/ent"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/gorm"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/sqlc"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/sqlx"
)

var programs = map[string]func(){"bun": bun.Run, "ent": ent.Run, "gorm": gorm.Run, "sqlc": sqlc.Run, "sqlx": sqlx.Run}

func main() {
	if len(os.Args) != 2 || programs[os.Args[1]] == nil {
		log.Fatal("name one program: bun, ent, gorm, sqlc or sqlx")
	}
	programs[os.Args[1]]()
}
