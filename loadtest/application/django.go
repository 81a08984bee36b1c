package application

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/target"
)

// What the shop is filled with.
const (
	shopCategories = 50
	shopProducts   = 2000
	shopReviews    = 5 // of each product
)

//go:embed testdata/django
var djangoFiles embed.FS

// python is Debian's own: its packages are there.
const python = "/usr/bin/python3"

// django is a shop of ours on Debian's Django.
type django struct{ atomic bool }

func newDjango() Application       { return django{} }
func newDjangoAtomic() Application { return django{atomic: true} }

func (d django) About() string {
	about := "a shop on Django (psycopg2, Gunicorn): the page of a product with its category, reviews and their mean, and of a category with its cheapest products; writes change a product by the mapper, by update in a transaction, by raw SQL, and in another program"
	if d.atomic {
		return about + "; ATOMIC_REQUESTS, so that each request is a transaction"
	}
	return about
}

func (django) Version(ctx context.Context) (string, error) {
	text, err := exec.CommandContext(ctx, python, "-c", "import django; print(django.__version__)").Output()
	return strings.TrimSpace(string(text)), err
}

// command writes the shop's files, and returns how a command runs in it.
func (d django) command(p *servers.Program, at target.Place, more []string, arguments ...string) (servers.Command, error) {
	files, err := fs.Sub(djangoFiles, "testdata/django")
	if err != nil {
		return servers.Command{}, err
	}
	dir := filepath.Join(p.Dir(), "shop")
	if _, err := os.Stat(dir); err != nil {
		if err := os.CopyFS(dir, files); err != nil {
			return servers.Command{}, err
		}
	}
	environment := append([]string{
		"DJANGO_SETTINGS_MODULE=settings", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=" + dir, "LC_ALL=C.UTF-8",
		"SHOP_HOST=" + at.Host, "SHOP_PORT=" + strconv.Itoa(at.Port), "SHOP_USER=" + at.User, "SHOP_DATABASE=" + at.Database,
		"SHOP_ATOMIC=" + strconv.FormatBool(d.atomic),
	}, more...)
	return servers.Command{Dir: dir, Environment: environment, Arguments: append([]string{python}, arguments...)}, nil
}

func (d django) Fill(ctx context.Context, p *servers.Program, at target.Place) error {
	command, err := d.command(p, at, nil, "-m", "django", "migrate", "--run-syncdb")
	if err != nil {
		return err
	}
	if err := p.Run(ctx, command); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, at.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.PgConn().Exec(ctx, fmt.Sprintf(`
		INSERT INTO shop_category SELECT i, 'category ' || i FROM generate_series(1, %[1]d) i;
		INSERT INTO shop_product (id, category_id, name, price, version) SELECT i, 1 + i %% %[1]d, 'product ' || i, 100 + i * 7919 %% 9900, 1 FROM generate_series(1, %[2]d) i;
		INSERT INTO shop_review (product_id, stars, words) SELECT p, 1 + (p + r) %% 5, repeat(md5(p || ' ' || r), 3) FROM generate_series(1, %[2]d) p, generate_series(1, %[3]d) r`,
		shopCategories, shopProducts, shopReviews)).ReadAll()
	return err
}

func (d django) Serve(ctx context.Context, p *servers.Program, at target.Place, clients int) (Address, error) {
	return d.ServeWith(ctx, p, at, clients, "", nil)
}

// Peers are the caches for Django's mapper that Debian has.
func (django) Peers() []string { return []string{"cachalot", "cacheops"} }

func (d django) ServeWith(ctx context.Context, p *servers.Program, at target.Place, clients int, peer string, redis *servers.Redis) (Address, error) {
	var more []string
	if redis != nil {
		more = []string{"SHOP_PEER=" + peer, "SHOP_REDIS=" + redis.SocketPath()}
	}
	// Two processes, as what one of them writes the other has to see.
	const processes = 2
	socket := filepath.Join(p.Dir(), "gunicorn.sock")
	command, err := d.command(p, at, more, "-m", "gunicorn", "--workers", strconv.Itoa(processes), "--threads", strconv.Itoa(clients),
		"--bind", "unix:"+socket, "--worker-tmp-dir", p.Dir(), "--timeout", "300", "--env", "DJANGO_SETTINGS_MODULE=settings", "--log-level", "warning",
		"django.core.wsgi:get_wsgi_application()")
	if err != nil {
		return Address{}, err
	}
	err = p.Serve(ctx, command, func() bool {
		conn, err := net.Dial("unix", socket)
		return err == nil && conn.Close() == nil
	})
	return Address{"unix", socket}, err
}

// Enter does nothing: who looks at the shop is nobody.
func (django) Enter(context.Context, *Client, int) error { return nil }

func (d django) Read(random *rand.Rand) Request {
	const products = 80 // of a hundred
	if random.IntN(100) < products {
		return d.product(hot(random, shopProducts))
	}
	return d.category(1 + random.IntN(shopCategories))
}

func (django) product(key int) Request {
	return Request{Name: "a product", Method: "GET", Path: fmt.Sprintf("/product/%d", key), Row: int64(key - 1)}
}

func (django) category(key int) Request {
	return Request{Name: "a category", Method: "GET", Path: fmt.Sprintf("/category/%d", key)}
}

// Write says which row is written: Change and Beside write it.
func (django) Write(random *rand.Rand) Request {
	return Request{Name: "change a product", Writes: true, Row: int64(hot(random, shopProducts) - 1)}
}

func (d django) Sample() (all []Request) {
	for n := 1; n <= 20; n++ {
		all = append(all, d.product(n), d.category(n))
	}
	return all
}

func (django) Steady(body []byte) []byte { return body }

func (django) Rows() int64 { return shopProducts }

func (django) Shown(body []byte) (int64, bool) {
	name := []byte(`"version": `)
	at := bytes.Index(body, name)
	if at < 0 {
		return 0, false
	}
	return numberAt(body, at+len(name))
}

func (django) Change(random *rand.Rand, row, version int64) Request {
	ways := []string{"save", "update", "raw"}
	return Request{Name: "change a product", Method: "GET", Path: fmt.Sprintf("/product/%d/%s/%d", row+1, ways[random.IntN(len(ways))], version), Writes: true, Row: row}
}

func (django) Beside() string {
	return "UPDATE shop_product SET version = $2::bigint, price = 100 + $2::bigint % 100 WHERE id = $1::bigint + 1"
}
