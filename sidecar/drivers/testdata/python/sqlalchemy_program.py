"""A shop's chores with SQLAlchemy's ORM. The argument says whether what only reads
is in transactions too, as it is by default, or in autocommit mode; where to connect
is in the environment."""

import sys

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql

Base = orm.declarative_base()


class Setting(Base):
    __tablename__ = "setting"
    name = sa.Column(sa.Text, primary_key=True)
    value = sa.Column(sa.Text, nullable=False)


class Item(Base):
    __tablename__ = "item"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.Text, nullable=False)
    price = sa.Column(sa.Numeric(10, 2), nullable=False)
    stock = sa.Column(sa.Integer, nullable=False)
    tags = sa.Column(postgresql.ARRAY(sa.Text))
    details = sa.Column(postgresql.JSONB)
    photo = sa.Column(sa.LargeBinary)
    hue = sa.Column(postgresql.ENUM("red", "green", "blue", name="color"))
    weight = sa.Column(sa.Float)
    made = sa.Column(sa.Date)
    changed = sa.Column(sa.DateTime(timezone=True))
    active = sa.Column(sa.Boolean)
    sales = orm.relationship("Sale", back_populates="item", order_by="Sale.id")

    def values(self):
        return [getattr(self, column.key) for column in sa.inspect(Item).columns]


class Sale(Base):
    __tablename__ = "sale"
    id = sa.Column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    item_id = sa.Column("item", sa.ForeignKey("item.id"), nullable=False)
    amount = sa.Column(sa.Integer, nullable=False)
    item = orm.relationship(Item, back_populates="sales")


engine = sa.create_engine("postgresql+psycopg2://", future=True)
Session = orm.sessionmaker(engine, future=True)
autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
Reading = orm.sessionmaker(autocommit if sys.argv[1] == "autocommit" else engine, future=True)


def repeated_reads():
    for _ in range(15):
        with Reading() as session:
            for name in ("currency", "motto"):
                print(session.get(Setting, name).value)
            print(session.scalars(sa.select(Setting.value).where(Setting.name == "vat")).one())
            print([setting.name for setting in session.scalars(sa.select(Setting).order_by(Setting.name))])


def types():
    for _ in range(3):
        with Reading() as session:
            for item in session.scalars(sa.select(Item).order_by(Item.id)):
                print(item.values())
            print(session.get(Item, 99))
            print(session.scalars(sa.select(Item.name).where(Item.id.in_([1, 2, 3]), Item.active)).all())
            print(session.scalars(sa.select(Item.name).where(Item.details.contains({"a": [1]}))).all())
            print(session.scalars(sa.select(Item.name).where(Item.tags.contains(["iron"]))).all())
            print(session.scalars(sa.select(Item.name).where(Item.photo == b"\x00\xff\x10")).all())


def relations():
    for _ in range(3):
        with Reading() as session:
            print([sale.amount for sale in session.get(Item, 1).sales])
            query = sa.select(Item).options(orm.selectinload(Item.sales)).order_by(Item.id)
            print([(item.name, len(item.sales)) for item in session.scalars(query)])
            total = sa.select(Item.name, sa.func.sum(Sale.amount)).join(Item.sales).group_by(Item.name).order_by(Item.name)
            print(session.execute(total).all())


def own_writes():
    for stock in range(20):
        with Session() as session:
            session.get(Item, 3).stock = stock
            session.commit()
            print(session.get(Item, 3).stock)
        for _ in range(2):
            with Reading() as session:
                print(session.scalars(sa.select(Item.stock).where(Item.id == 3)).one())
    with Session.begin() as session:
        session.add_all([Sale(item_id=1, amount=5), Sale(item_id=2, amount=6)])
    with Reading() as session:
        print([(sale.item.name, sale.amount) for sale in session.scalars(sa.select(Sale).order_by(Sale.id))])


def transactions():
    stock = sa.select(Item.stock).where(Item.id == 1)
    with Session() as session:
        session.execute(sa.update(Item).where(Item.id == 1).values(stock=40))
        print(session.scalars(stock).one())
        session.rollback()
        print(session.scalars(stock).one())
    with Session.begin() as session:
        session.get(Item, 1).stock = 41
        session.flush()
        try:
            with session.begin_nested():
                session.execute(sa.update(Item).values(stock=-1))
        except sa.exc.IntegrityError as error:
            show_error(error)
        print(session.scalars(stock).one())
    with Reading() as session:
        print(session.scalars(stock).one())


def serializable():
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as conn:
        print(conn.execute(sa.select(Item.stock).where(Item.id == 1)).scalar_one())
    with engine.connect() as conn:
        print(conn.execute(sa.text("SHOW transaction_isolation")).scalar_one())


def show_error(error):
    print(type(error).__name__, error.orig.pgcode, error.orig.diag.message_primary)


def errors():
    for statement in ("SELECT nothing FROM item", "SELEC 1", "SELECT 1 / (stock - stock) FROM item"):
        with Session() as session:
            try:
                session.execute(sa.text(statement))
            except sa.exc.DBAPIError as error:
                show_error(error)
        with Reading() as session:
            print(session.get(Item, 1).stock)
    with Session() as session:
        session.add(Item(id=1, name="x", price=1, stock=1))
        try:
            session.commit()
        except sa.exc.IntegrityError as error:
            show_error(error)


print("SQLAlchemy", sa.__version__, "with", engine.dialect.driver, engine.dialect.dbapi.__version__.split()[0])
for chore in (repeated_reads, types, relations, own_writes, transactions, serializable, errors, repeated_reads):
    chore()
engine.dispose()
