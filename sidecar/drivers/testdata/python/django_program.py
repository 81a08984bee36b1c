"""A shop's chores with Django's ORM. The argument says whether each chore is a
transaction, as with ATOMIC_REQUESTS, or autocommit mode is used, Django's default;
where to connect is in the environment."""

import os
import sys

# From 4.2 on Django prefers psycopg 3 where that is installed too; the dates,
# the errors and the COPY here are psycopg2's.
sys.modules["psycopg"] = None

import django
import psycopg2
from django.apps import AppConfig
from django.conf import settings


class Shop(AppConfig):
    name, label = "__main__", "shop"


settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": os.environ["PGUSER"],
            "NAME": os.environ["PGDATABASE"],
            "CONN_MAX_AGE": 600,
        }
    },
    INSTALLED_APPS=["__main__.Shop"],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.contrib.postgres.fields import ArrayField  # noqa: E402, as models need the settings
from django.db import DatabaseError, IntegrityError, connection, models, transaction  # noqa: E402


class Setting(models.Model):
    name = models.TextField(primary_key=True)
    value = models.TextField()

    class Meta:
        db_table, managed = "setting", False


class Item(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.TextField(unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.IntegerField()
    tags = ArrayField(models.TextField(), null=True)
    details = models.JSONField(null=True)
    photo = models.BinaryField(null=True)
    hue = models.TextField(null=True)
    weight = models.FloatField(null=True)
    made = models.DateField(null=True)
    changed = models.DateTimeField(null=True)
    active = models.BooleanField(null=True)

    class Meta:
        db_table, managed = "item", False


class Sale(models.Model):
    item = models.ForeignKey(Item, models.PROTECT, db_column="item", related_name="sales")
    amount = models.IntegerField()

    class Meta:
        db_table, managed = "sale", False


def repeated_reads():
    for _ in range(15):
        for name in ("currency", "motto"):
            print(Setting.objects.get(pk=name).value)
        print(Setting.objects.filter(name="vat").values_list("value", flat=True).first())
        print([setting.value for setting in Setting.objects.order_by("name")])


def types():
    for _ in range(3):
        for row in Item.objects.order_by("id").values_list():
            print([bytes(value) if isinstance(value, memoryview) else value for value in row])
        print(Item.objects.filter(pk=99).exists(), Item.objects.count())
        print(list(Item.objects.filter(pk__in=[1, 2, 3], active=True).values("name")))
        print(list(Item.objects.filter(details__a__0=1).values("name")))
        print(list(Item.objects.filter(tags__contains=["iron"]).values("name")))
        print(list(Item.objects.filter(name__icontains="O").order_by("name").values("name")))


def relations():
    for _ in range(3):
        print([sale.item.name for sale in Sale.objects.select_related("item").order_by("id")])
        print([(item.name, len(item.sales.all())) for item in Item.objects.prefetch_related("sales").order_by("id")])
        print(list(Item.objects.annotate(sold=models.Sum("sales__amount")).order_by("id").values("name", "sold")))


def own_writes():
    for stock in range(20):
        item = Item.objects.only("stock").get(pk=3)
        item.stock = stock
        item.save(update_fields=["stock"])
        print(Item.objects.only("stock").get(pk=3).stock)
        Item.objects.filter(pk=3).update(stock=models.F("stock") + 1)
        print(Item.objects.only("stock").get(pk=3).stock)
    Sale.objects.bulk_create([Sale(item_id=1, amount=5), Sale(item_id=2, amount=6)])
    Sale.objects.create(item_id=2, amount=7).delete()
    print(list(Sale.objects.order_by("id").values_list("item", "amount")))


class ChangedMyMind(Exception):
    pass


def transactions():
    with transaction.atomic():
        Item.objects.filter(pk=1).update(stock=40)
        print(Item.objects.values("stock").get(pk=1))
        try:
            with transaction.atomic():
                Item.objects.update(stock=-1)
        except IntegrityError as error:
            show_error(error)
        print(Item.objects.values("stock").select_for_update().get(pk=1))
    print(Item.objects.values("stock").get(pk=1))
    try:
        with transaction.atomic():
            Item.objects.filter(pk=1).update(stock=41)
            raise ChangedMyMind
    except ChangedMyMind:
        print(Item.objects.values("stock").get(pk=1))
    with transaction.atomic():
        print([item.name for item in Item.objects.only("name").order_by("id").iterator(chunk_size=2)])


def show_error(error):
    print(type(error).__name__, error.__cause__.pgcode, error.__cause__.diag.message_primary)


def errors():
    for statement in ("SELECT nothing FROM item", "SELEC 1", "SELECT 1 / (stock - stock) FROM item"):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
        except DatabaseError as error:
            show_error(error)
        print(Item.objects.values("stock").get(pk=1))
    try:
        with transaction.atomic():
            Item.objects.create(id=1, name="x", price=1, stock=1)
    except IntegrityError as error:
        show_error(error)
    print(Setting.objects.raw("SELECT name, value FROM setting WHERE name = %s", ["vat"])[0].value)


def copies():
    import io

    with connection.cursor() as cursor:
        cursor.copy_from(io.StringIO("1\t100\n2\t200\n"), "sale", columns=("item", "amount"))
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id) TO STDOUT", out)
        print(out.getvalue(), Sale.objects.filter(amount__gte=100).count())


print("Django", django.__version__, "with psycopg2", psycopg2.__version__.split()[0])
for chore in (repeated_reads, types, relations, own_writes, transactions, errors, copies, repeated_reads):
    if sys.argv[1] == "atomic requests":
        chore = transaction.atomic(chore)
    chore()
connection.close()
