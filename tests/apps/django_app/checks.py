"""What the application finds in its database."""

from django.apps import apps
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import connection, models, transaction

import canonical

from . import writer
from .content import PASSWORD, Values, fill

# Nobody fills rows of this seed; its user has a password.
UNUSED = 1_000_001


def check(insert, journals):
    """Prints every row of every model, and tries what an application does with them."""
    print(canonical.dump(dict(_tables())))
    if journals:
        writer.verify(journals)
    if insert:
        _log_in()
        _insert()


def _models():
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]


def _tables():
    for model in _models():
        names = [field.attname for field in model._meta.concrete_fields]
        yield model._meta.label, model._base_manager.values_list(*names)


def _log_in():
    user = User.objects.filter(username=Values(1).word("user", 150)).first()
    if user is None or not user.has_usable_password():
        raise SystemExit("the user with a password is not there")
    if authenticate(username=user.username, password=PASSWORD) != user:
        raise SystemExit("the user cannot log in")
    if not user.has_perm("django_app.add_product"):
        raise SystemExit("the user has not the permission of the group")


def _insert():
    """A row of each model, with keys above all there are; nothing of it is kept."""
    with transaction.atomic():
        before = dict(_largest())
        fill([UNUSED])
        connection.check_constraints()
        for label, largest in _largest():
            if largest <= before[label]:
                raise SystemExit(f"{label}: nothing came behind key {before[label]}")
        transaction.set_rollback(True)


def _largest():
    for model in _models():
        # A content type comes with a model only.
        if isinstance(model._meta.pk, models.AutoField) and model._meta.label != "contenttypes.ContentType":
            yield model._meta.label, model._base_manager.aggregate(largest=models.Max("pk"))["largest"] or 0
