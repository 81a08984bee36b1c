"""A shop's chores with asyncpg. The argument says whether all is done on one
connection or each chore on one of a pool; where to connect is in the environment."""

import asyncio
import io
import sys
from contextlib import asynccontextmanager

import asyncpg


def show_error(error):
    print(type(error).__name__, error.sqlstate, error, getattr(error, "constraint_name", None))


async def repeated_reads(conn):
    for _ in range(10):
        for name in ("currency", "motto"):
            print(await conn.fetchval("SELECT value FROM setting WHERE name = $1", name))
        print(await conn.fetchrow("SELECT * FROM setting WHERE name = $1", "vat"))
        print(await conn.fetch("SELECT * FROM setting ORDER BY name"))
    statement = await conn.prepare("SELECT value FROM setting WHERE name = $1")
    print(statement.get_parameters(), statement.get_attributes())
    for _ in range(10):
        print(await statement.fetchval("motto"), statement.get_statusmsg())


async def types(conn):
    for _ in range(3):
        for row in await conn.fetch("SELECT * FROM item ORDER BY id"):
            print(row)
        print(await conn.fetchrow("SELECT * FROM item WHERE id = $1", 99))
        print(await conn.fetch("SELECT name FROM item WHERE id = ANY($1) AND active", [1, 2, 3]))
        print(await conn.fetch("SELECT name FROM item WHERE details @> $1", '{"a": [1]}'))
        print(await conn.fetch("SELECT name FROM item WHERE photo = $1", b"\x00\xff\x10"))
        print(await conn.fetch("SELECT name, amount FROM sold ORDER BY name"))


async def own_writes(conn):
    for stock in range(20):
        print(await conn.execute("UPDATE item SET stock = $1 WHERE id = $2", stock, 3))
        for _ in range(2):
            print(await conn.fetchval("SELECT stock FROM item WHERE id = $1", 3))
    await conn.executemany("INSERT INTO sale (item, amount) VALUES ($1, $2)", [(1, 5), (2, 6)])
    print(await conn.fetch("SELECT item, amount FROM sale ORDER BY id"))


async def transactions(conn):
    async with conn.transaction():
        await conn.execute("UPDATE item SET stock = 40 WHERE id = 1")
        print(await conn.fetchval("SELECT stock FROM item WHERE id = 1"))
        try:
            async with conn.transaction():
                await conn.execute("UPDATE item SET stock = -1 WHERE id = 1")
        except asyncpg.CheckViolationError as error:
            show_error(error)
        print(await conn.fetchval("SELECT stock FROM item WHERE id = 1"))
        async for row in conn.cursor("SELECT id, name FROM item ORDER BY id", prefetch=2):
            print(row)
    print(await conn.fetchval("SELECT stock FROM item WHERE id = 1"))
    transaction = conn.transaction(isolation="repeatable_read")
    await transaction.start()
    await conn.execute("UPDATE item SET stock = 41 WHERE id = 1")
    print(await conn.fetchval("SELECT stock FROM item WHERE id = 1"))
    await transaction.rollback()
    print(await conn.fetchval("SELECT stock FROM item WHERE id = 1"))


async def errors_and_notices(conn):
    def note(_, message):
        print(message.severity, message.message)

    conn.add_log_listener(note)
    for statement, *values in (
        ("INSERT INTO item (id, name, price, stock) VALUES ($1, 'x', 1, 1)", 1),
        ("SELECT nothing FROM item",),
        ("SELEC 1",),
        ("SELECT 1 / $1::int", 0),
    ):
        try:
            await conn.fetch(statement, *values)
        except asyncpg.PostgresError as error:
            show_error(error)
        print(await conn.fetchval("SELECT stock FROM item WHERE id = $1", 1))
    await conn.execute("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
    conn.remove_log_listener(note)
    try:
        await conn.fetch("SELECT pg_sleep(20)", timeout=0.1)
    except asyncio.TimeoutError:
        print("timeout", await conn.fetchval("SELECT stock FROM item WHERE id = $1", 1))


async def copies(conn):
    print(await conn.copy_records_to_table("sale", records=[(1, 100), (2, 200)], columns=["item", "amount"]))
    try:
        await conn.copy_records_to_table("sale", records=[(99, 1)], columns=["item", "amount"])
    except asyncpg.ForeignKeyViolationError as error:
        show_error(error)
    out = io.BytesIO()
    print(await conn.copy_from_query("SELECT item, amount FROM sale WHERE amount >= $1 ORDER BY id", 100, output=out))
    print(out.getvalue())
    print(await conn.fetch("SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id"))


async def notifications(conn):
    heard = asyncio.Queue()

    def hear(_, pid, channel, payload):
        heard.put_nowait((pid == conn.get_server_pid(), channel, payload))

    await conn.add_listener("shop", hear)
    await conn.execute("NOTIFY shop, 'open'")
    print(await asyncio.wait_for(heard.get(), 10))
    await conn.remove_listener("shop", hear)


CHORES = (repeated_reads, types, own_writes, transactions, errors_and_notices, copies, notifications, repeated_reads)


@asynccontextmanager
async def one_connection():
    conn = await asyncpg.connect()

    @asynccontextmanager
    async def acquire():
        yield conn

    yield acquire
    await conn.close()


@asynccontextmanager
async def one_pool():
    async with asyncpg.create_pool(min_size=1, max_size=2) as pool:
        yield pool.acquire


async def main():
    print("asyncpg", asyncpg.__version__)
    async with one_pool() if sys.argv[1] == "pool" else one_connection() as acquire:
        for chore in CHORES:
            async with acquire() as conn:
                await chore(conn)


asyncio.run(main())
