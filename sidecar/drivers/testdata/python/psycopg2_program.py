"""A shop's chores with psycopg2. The argument says whether connections are in
autocommit mode; where to connect is in the environment."""

import sys
import threading
from contextlib import closing

import psycopg2
import psycopg2.extras
from psycopg2 import errors

AUTOCOMMIT = sys.argv[1] == "autocommit"

RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"


def connect():
    conn = psycopg2.connect("")
    conn.autocommit = AUTOCOMMIT
    return conn


def show(cur):
    print(cur.statusmessage, cur.rowcount)
    if cur.description:
        print([(c.name, c.type_code, c.internal_size, c.precision, c.scale) for c in cur.description])
        for row in cur:
            print([bytes(v) if isinstance(v, memoryview) else v for v in row])


def show_error(error):
    print(type(error).__name__, error.pgcode, str(error).strip().replace("\n", " | "), error.diag.constraint_name)


def repeated_reads(conn):
    with conn.cursor() as cur:
        for _ in range(25):
            for name in ("currency", "motto"):
                cur.execute("SELECT value FROM setting WHERE name = %s", (name,))
                print(cur.fetchone())
        for _ in range(3):
            cur.execute("SELECT * FROM item ORDER BY id")
            show(cur)
            cur.execute("SELECT name FROM item WHERE id = ANY(%s) AND tags && %s", ([1, 2, 3], ["iron"]))
            show(cur)
            cur.execute("SELECT id FROM item WHERE false")
            show(cur)
    with conn.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cur:
        for _ in range(2):
            cur.execute("SELECT name, amount FROM sold ORDER BY name")
            print(cur.fetchall())
    conn.commit()


def own_writes(conn):
    with conn.cursor() as cur:
        for stock in range(20):
            cur.execute("UPDATE item SET stock = %s WHERE id = %s", (stock, 3))
            conn.commit()
            for _ in range(2):
                cur.execute("SELECT stock FROM item WHERE id = %s", (3,))
                print(cur.fetchone())
        psycopg2.extras.execute_values(
            cur, "INSERT INTO sale (item, amount) VALUES %s RETURNING id", [(1, 5), (2, 6)], fetch=False)
        show(cur)
        cur.execute("SELECT item, amount FROM sale ORDER BY id")
        show(cur)
    conn.commit()


def transactions(conn):
    autocommit, conn.autocommit = conn.autocommit, False
    with conn.cursor() as cur:
        with conn:
            cur.execute("UPDATE item SET stock = 40 WHERE id = 1")
            cur.execute("SELECT stock FROM item WHERE id = 1")
            print(cur.fetchone(), conn.get_transaction_status())
        cur.execute("UPDATE item SET stock = 41 WHERE id = 1")
        conn.rollback()
        cur.execute("SELECT stock FROM item WHERE id = 1")
        print(cur.fetchone())
        try:
            cur.execute("SELECT stock / 0 FROM item WHERE id = 1")
        except errors.DivisionByZero as error:
            show_error(error)
        try:
            cur.execute("SELECT stock FROM item WHERE id = 1")
        except errors.InFailedSqlTransaction as error:
            show_error(error)
        conn.rollback()
        conn.set_session(isolation_level="SERIALIZABLE", readonly=True)
        cur.execute("SELECT stock FROM item WHERE id = 1")
        print(cur.fetchone())
        conn.rollback()
        conn.set_session(isolation_level="DEFAULT", readonly="DEFAULT")
    conn.autocommit = autocommit


def errors_and_notices(conn):
    with conn.cursor() as cur:
        for statement in (
            "INSERT INTO item (id, name, price, stock) VALUES (1, 'x', 1, 1)",
            "UPDATE item SET stock = -1",
            "SELECT nothing FROM item",
            "SELEC 1",
        ):
            try:
                cur.execute(statement)
            except psycopg2.Error as error:
                show_error(error)
                conn.rollback()
        cur.execute("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
        print(conn.notices)
    conn.commit()


def cursors(conn):
    autocommit, conn.autocommit = conn.autocommit, False
    with conn.cursor("every") as cur:
        cur.itersize = 2
        cur.execute("SELECT id, name FROM item ORDER BY id")
        print([row for row in cur])
    conn.rollback()
    with conn.cursor("scrolling", scrollable=True) as cur:
        cur.execute("SELECT id FROM item ORDER BY id")
        print(cur.fetchmany(2))
        cur.scroll(-1)
        print(cur.fetchone())
    conn.rollback()
    conn.autocommit = autocommit


def copies(conn):
    import io

    with conn.cursor() as cur:
        out = io.StringIO()
        cur.copy_expert("COPY (SELECT name, hue::text FROM item ORDER BY name) TO STDOUT WITH CSV HEADER", out)
        print(out.getvalue())
        cur.copy_from(io.StringIO("1\t100\n2\t200\n"), "sale", columns=("item", "amount"))
        show(cur)
        try:
            conn.commit()
            cur.copy_from(io.StringIO("99\t100\n"), "sale", columns=("item", "amount"))
        except errors.ForeignKeyViolation as error:
            show_error(error)
        conn.rollback()
        cur.execute("SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id")
        show(cur)
    conn.commit()


def notifications(conn):
    with conn.cursor() as cur:
        cur.execute("LISTEN shop")
        cur.execute("NOTIFY shop, 'open'")
        conn.commit()
        conn.poll()
        print([(n.channel, n.payload, n.pid == conn.info.backend_pid) for n in conn.notifies])
        cur.execute("UNLISTEN *")
    conn.commit()


def cancel_when_running(conn):
    """Cancels the statement of a connection, not before PostgreSQL runs it."""
    with closing(connect()) as other, other.cursor() as cur:
        running = 0
        while not running:
            cur.execute(RUNNING, (conn.info.backend_pid,))
            (running,) = cur.fetchone()
            other.rollback()
    conn.cancel()


def cancelled(conn):
    canceller = threading.Thread(target=cancel_when_running, args=(conn,))
    canceller.start()
    with conn.cursor() as cur:
        try:
            cur.execute("SELECT pg_sleep(20)")
        except errors.QueryCanceled as error:
            show_error(error)
        canceller.join()
        conn.rollback()
        cur.execute("SELECT stock FROM item WHERE id = 1")
        print(cur.fetchone())
    conn.commit()


print("psycopg2", psycopg2.__version__.split()[0])
with closing(connect()) as conn:
    print(conn.server_version, conn.encoding, conn.get_parameter_status("TimeZone"))
    repeated_reads(conn)
    own_writes(conn)
    transactions(conn)
    errors_and_notices(conn)
    cursors(conn)
    copies(conn)
    notifications(conn)
    cancelled(conn)
    repeated_reads(conn)
with closing(connect()) as conn:
    conn.set_client_encoding("LATIN1")
    with conn.cursor() as cur:
        cur.execute("SELECT name FROM item WHERE id = 1")
        show(cur)
