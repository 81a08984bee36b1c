"""A shop's chores with psycopg 3. The argument says whether connections are in
autocommit mode; where to connect is in the environment."""

import sys
import threading

import psycopg
from psycopg import errors, rows
from psycopg.types.json import Jsonb

AUTOCOMMIT = sys.argv[1] == "autocommit"

RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"


def connect():
    return psycopg.connect("", autocommit=AUTOCOMMIT)


def show(cur):
    print(cur.statusmessage, cur.rowcount)
    if cur.description:
        print([(c.name, c.type_code, c.internal_size, c.precision, c.scale) for c in cur.description])
        for row in cur:
            print([bytes(v) if isinstance(v, memoryview) else v for v in row])


def show_error(error):
    print(type(error).__name__, error.sqlstate, str(error).replace("\n", " | "), error.diag.constraint_name)


def repeated_reads(conn):
    # From the sixth run on, psycopg uses a named statement.
    for _ in range(20):
        for name in ("currency", "motto"):
            print(conn.execute("SELECT value FROM setting WHERE name = %s", (name,)).fetchone())
    for prepare in (False, True):
        for _ in range(5):
            show(conn.execute("SELECT value FROM setting WHERE name = %s", ("vat",), prepare=prepare))
    for binary in (False, True):
        with conn.cursor(binary=binary) as cur:
            for _ in range(3):
                show(cur.execute("SELECT * FROM item ORDER BY id".replace("*", COLUMNS)))
                show(cur.execute("SELECT name FROM item WHERE id = ANY(%s) AND tags && %s", ([1, 2, 3], ["iron"])))
                show(cur.execute("SELECT id FROM item WHERE details @> %b", (Jsonb({"a": [1]}),)))
                show(cur.execute("SELECT id FROM item WHERE false"))
    with conn.cursor(row_factory=rows.dict_row) as cur:
        for _ in range(2):
            print(cur.execute("SELECT name, amount FROM sold ORDER BY name").fetchall())
    with psycopg.ClientCursor(conn) as cur:
        for _ in range(3):
            show(cur.execute("SELECT name, price FROM item WHERE id = %s", (1,)))
    conn.commit()


# Without the dates: Python's have no infinity.
COLUMNS = "id, name, price, stock, tags, details, photo, hue, weight"


def own_writes(conn):
    for stock in range(20):
        conn.execute("UPDATE item SET stock = %s WHERE id = %s", (stock, 3))
        conn.commit()
        for _ in range(2):
            print(conn.execute("SELECT stock FROM item WHERE id = %s", (3,)).fetchone())
    with conn.cursor() as cur:
        cur.executemany("INSERT INTO sale (item, amount) VALUES (%s, %s) RETURNING id", [(1, 5), (2, 6)], returning=True)
        show(cur)
        while cur.nextset():
            show(cur)
        show(cur.execute("SELECT item, amount FROM sale ORDER BY id"))
    conn.commit()


def transactions(conn):
    with conn.transaction():
        conn.execute("UPDATE item SET stock = 40 WHERE id = 1")
        print(conn.execute("SELECT stock FROM item WHERE id = 1").fetchone(), conn.info.transaction_status)
        try:
            with conn.transaction():
                conn.execute("UPDATE item SET stock = 41 WHERE id = 1")
                conn.execute("SELECT stock / 0 FROM item WHERE id = 1")
        except errors.DivisionByZero as error:
            show_error(error)
        print(conn.execute("SELECT stock FROM item WHERE id = 1").fetchone())
    print(conn.execute("SELECT stock FROM item WHERE id = 1").fetchone())
    with conn.transaction(force_rollback=True):
        conn.execute("UPDATE item SET stock = 42 WHERE id = 1")
        print(conn.execute("SELECT stock FROM item WHERE id = 1").fetchone())
    print(conn.execute("SELECT stock FROM item WHERE id = 1").fetchone())
    try:
        with conn.transaction():
            try:
                conn.execute("SELECT stock / 0 FROM item WHERE id = 1")
            except errors.DivisionByZero as error:
                show_error(error)
            conn.execute("SELECT stock FROM item WHERE id = 1")
    except errors.InFailedSqlTransaction as error:
        show_error(error)
    conn.commit()


def errors_and_notices(conn):
    notices = []
    conn.add_notice_handler(lambda diag: notices.append((diag.severity, diag.sqlstate, diag.message_primary)))
    for statement in (
        "INSERT INTO item (id, name, price, stock) VALUES (1, 'x', 1, 1)",
        "UPDATE item SET stock = -1",
        "SELECT nothing FROM item",
        "SELEC 1",
        "SELECT 1; SELECT 1 / 0",
    ):
        try:
            conn.execute(statement)
        except psycopg.Error as error:
            show_error(error)
            conn.rollback()
    conn.execute("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
    print(notices)
    with conn.cursor() as cur:
        show(cur.execute("SELECT stock FROM item WHERE id = 1; UPDATE item SET stock = 9 WHERE id = 1; SELECT stock FROM item WHERE id = 1"))
        while cur.nextset():
            show(cur)
    conn.commit()


def cursors(conn):
    with conn.transaction():
        with conn.cursor("every") as cur:
            cur.itersize = 2
            cur.execute("SELECT id, name FROM item ORDER BY id")
            print(list(cur))
        with conn.cursor("scrolling", scrollable=True) as cur:
            cur.execute("SELECT id FROM item WHERE id > %s ORDER BY id", (0,))
            print(cur.fetchmany(2))
            cur.scroll(-1)
            print(cur.fetchone())


def streams(conn):
    for _ in range(2):
        print(list(conn.cursor().stream("SELECT id, name FROM item ORDER BY id")))
    conn.commit()


def pipelines(conn):
    for _ in range(3):
        with conn.pipeline() as pipeline:
            settings = [
                conn.execute("SELECT value FROM setting WHERE name = %s", (name,)) for name in ("currency", "motto", "vat")
            ]
            pipeline.sync()
            for cur in settings:
                show(cur)
        with conn.pipeline() as pipeline:
            before = conn.execute("SELECT stock FROM item WHERE id = %s", (2,))
            update = conn.execute("UPDATE item SET stock = stock + 1 WHERE id = %s", (2,))
            after = conn.execute("SELECT stock FROM item WHERE id = %s", (2,))
            pipeline.sync()
            for cur in (before, update, after):
                show(cur)
    try:
        with conn.pipeline() as pipeline:
            conn.execute("UPDATE item SET stock = stock + 1 WHERE id = %s", (2,))
            conn.execute("SELECT 1 / %s", (0,))
            pipeline.sync()
    except psycopg.Error as error:
        show_error(error)
    conn.rollback()
    print(conn.execute("SELECT stock FROM item WHERE id = 2").fetchone())
    conn.commit()


def copies(conn):
    with conn.cursor() as cur:
        with cur.copy("COPY (SELECT name, hue::text FROM item ORDER BY name) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["text", "text"])
            print(list(copy.rows()))
        with cur.copy("COPY sale (item, amount) FROM STDIN") as copy:
            copy.write_row((1, 100))
            copy.write_row((2, 200))
        print(cur.rowcount)
        conn.commit()
        for bad in ("99\t1\n", "one\ttwo\n"):
            try:
                with cur.copy("COPY sale (item, amount) FROM STDIN") as copy:
                    copy.write(bad)
            except psycopg.Error as error:
                show_error(error)
                conn.rollback()
        try:
            with cur.copy("COPY sale (item, amount) FROM STDIN") as copy:
                copy.write_row((1, 300))
                raise ValueError("changed my mind")
        except errors.QueryCanceled as error:
            show_error(error)
        except ValueError as error:  # what newer versions raise, the server's error dropped
            print(error)
        conn.rollback()
        show(cur.execute("SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id"))
    conn.commit()


def notifications(conn):
    conn.execute("LISTEN shop")
    heard = []
    conn.add_notify_handler(lambda n: heard.append((n.channel, n.payload, n.pid == conn.info.backend_pid)))
    conn.execute("NOTIFY shop, 'open'")
    conn.commit()
    conn.execute("SELECT value FROM setting WHERE name = 'currency'")
    print(heard)
    conn.execute("UNLISTEN *")
    conn.commit()


def cancel_when_running(conn):
    """Cancels the statement of a connection, not before PostgreSQL runs it."""
    with connect() as other:
        while not other.execute(RUNNING, (conn.info.backend_pid,)).fetchone()[0]:
            other.rollback()
    conn.cancel()


def cancelled(conn):
    canceller = threading.Thread(target=cancel_when_running, args=(conn,))
    canceller.start()
    try:
        conn.execute("SELECT pg_sleep(20)")
    except errors.QueryCanceled as error:
        show_error(error)
    canceller.join()
    conn.rollback()
    print(conn.execute("SELECT stock FROM item WHERE id = 1").fetchone())
    conn.commit()


print("psycopg", psycopg.__version__)
with connect() as conn:
    print(conn.info.server_version, conn.info.encoding, conn.info.timezone)
    repeated_reads(conn)
    own_writes(conn)
    transactions(conn)
    errors_and_notices(conn)
    cursors(conn)
    pipelines(conn)
    copies(conn)
    notifications(conn)
    cancelled(conn)
    repeated_reads(conn)
with connect() as conn:
    streams(conn)
