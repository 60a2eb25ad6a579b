"""Rows of every model, the same ones for the same seed."""

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session

from values import Values

from .models import Banner, Colour, Detail, Flag, Note, Place, Product, Receipt, Record, Stock, Tag

PASSWORD = "pass w\u00f6rd"


def record(writer, number, changed_by):
    """The fields of a record, all of them but its key."""
    values = Values(f"{writer} {number} {changed_by}")
    return {
        "writer": writer,
        "number": number,
        "changed_by": changed_by,
        "char": values.text("char", 40),
        "char_or_null": values.maybe("char", values.text("char_or_null", 255)),
        "text": values.text("text", 100_000),
        "yes": values.flag("yes"),
        "yes_or_null": values.maybe("yes", values.flag("yes_or_null")),
        **numbers(values),
        **times(values),
        "document": values.document("document", scalars=True),
        "document_or_null": values.maybe("document", values.document("document_or_null")),
        "uuid": values.uuid("uuid"),
        "blob": values.blob("blob"),
        "address": values.maybe("address", values.address("address")),
        "slug": values.word("slug", 50),
        "email": values.word("email", 30) + "@example.org",
        "url": "https://example.org/?q=" + values.word("url", 30),
        "file": values.maybe("file", values.word("files/file", 60)) or "",
        "path": values.maybe("path", "/" + values.word("path", 40)) or "",
        "colour": values.choice("colour", Colour.values),
        "level": values.choice("level", [None, 1, 2]),
    }


def numbers(values):
    return {
        "small": values.integer("small", 16),
        "integer": values.integer("integer", 32),
        "big": values.integer("big", 64),
        "positive_small": values.integer("positive_small", 16, 0),
        "positive": values.integer("positive", 32, 0),
        "positive_big": values.integer("positive_big", 64, 0),
        "float": values.float("float"),
        "float_or_null": values.maybe("float", values.float("float_or_null")),
        "price": values.decimal("price", 10, 2),
        "fine": values.maybe("fine", values.decimal("fine", 30, 10)),
    }


def times(values):
    return {
        "date": values.date("date"),
        "time": values.time("time"),
        "instant": values.instant("instant"),
        "instant_or_null": values.maybe("instant", values.instant("instant_or_null")),
        "duration": values.duration("duration"),
    }


def fill(seeds):
    """Rows of every model for each seed."""
    for seed in seeds:
        values = Values(seed)
        Receipt.objects.create(writer=0, number=seed)
        Record.objects.create(**record(0, seed, seed))
        places = _places(values)
        product = _product(values, places)
        user = _user(values, product)
        _log(values, user, product)
        Banner.objects.create(words=values.text("banner", 20))
        Flag.objects.create()


def _places(values):
    outer = Place.objects.create(id=values.uuid("outer"), name=values.text("outer", 60))
    inner = Place.objects.create(id=values.uuid("inner"), name=values.text("inner", 60), within=outer)
    return [outer, inner]


def _product(values, places):
    product = Product.objects.create(
        name=values.word("product", 80), made_at=places[0], width=values.integer("width", 16)
    )
    if values.flag("detail"):
        Detail.objects.create(product=product, text=values.maybe("detail", values.text("detail", 1000)))
    tags = [Tag.objects.create(code=values.word(name, 30), id=values.integer(name, 16)) for name in ("a", "b")]
    product.tags.add(*tags)
    product.similar.add(Product.objects.earliest("id"))
    for place in places:
        Stock.objects.create(product=product, place=place, count=values.integer("count", 16, 0))
    return product


def _user(values, product):
    user = User(username=values.word("user", 150), first_name=values.text("first", 150), is_staff=values.flag("staff"))
    # One hash a thousand users: it is made to be slow.
    if values.seed % 1000 == 1:
        user.set_password(PASSWORD)
    else:
        user.set_unusable_password()
    user.last_login = values.maybe("login", values.instant("login"))
    user.date_joined = values.instant("joined")
    user.save()
    group = Group.objects.create(name=values.word("group", 150))
    permission = Permission.objects.create(
        codename=values.word("may", 100),
        name=values.text("may", 255),
        content_type=ContentType.objects.get_for_model(Product),
    )
    group.permissions.add(permission, Permission.objects.get(codename="add_product"))
    user.groups.add(group)
    user.user_permissions.add(permission)
    product.maker = user
    product.save(update_fields=["maker"])
    return user


def _log(values, user, product):
    kind = ContentType.objects.get_for_model(Product)
    # `log_actions` would take the time from the clock.
    LogEntry.objects.create(
        action_time=values.instant("action"),
        user=user,
        content_type=kind,
        object_id=str(product.pk),
        object_repr=values.text("repr", 200),
        action_flag=ADDITION,
        change_message='[{"added": {}}]',
    )
    Note.objects.create(about=product, text=values.text("note", 2000))
    # A session that the user can go on with, without the hash of a password.
    key = values.uuid("session").hex[:32]
    data = Session.get_session_store_class()().encode({"_auth_user_id": str(user.pk), "visits": values.seed})
    Session.objects.create(session_key=key, session_data=data, expire_date=values.instant("expires"))
