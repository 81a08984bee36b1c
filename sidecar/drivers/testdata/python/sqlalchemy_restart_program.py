"""Reads and writes with psycopg2 on SQLAlchemy's pool, whose connections are renewed, until
its standard input ends: a line for each hundred statements, and at last how many failed."""

import sys
import threading

import sqlalchemy

engine = sqlalchemy.create_engine("postgresql+psycopg2://", pool_size=4, pool_recycle=1, pool_pre_ping=True, isolation_level="AUTOCOMMIT")
stopped = threading.Event()
lock = threading.Lock()
done, failures = 0, []


def use(statement, value):
    global done
    statement = sqlalchemy.text(statement)
    while not stopped.is_set():
        failure = None
        try:
            with engine.connect() as connection:
                connection.execute(statement, {"id": value})
        except sqlalchemy.exc.SQLAlchemyError as error:
            failure = str(error)
        with lock:
            done += 1
            if failure:
                failures.append(failure)
            if done % 100 == 0:
                print(done, "done", flush=True)


users = [threading.Thread(target=use, args=("SELECT stock FROM item WHERE id = :id", i)) for i in (1, 2, 3)]
users.append(threading.Thread(target=use, args=("UPDATE item SET stock = stock + 1 WHERE id = :id", 1)))
for user in users:
    user.start()
sys.stdin.read()
stopped.set()
for user in users:
    user.join()
engine.dispose()
print(len(failures), "failed", *failures[:1])
