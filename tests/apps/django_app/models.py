"""Every class of field that applications use, and the ways in which tables refer to each other."""

import uuid

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now


class Colour(models.TextChoices):
    RED = "r", "red"
    GREEN = "g", "green"


class Receipt(models.Model):
    """One for each transaction of a writer."""

    writer = models.IntegerField()
    number = models.BigIntegerField()

    class Meta:
        unique_together = [("writer", "number")]


class Record(models.Model):
    """One of each field."""

    writer = models.SmallIntegerField(db_index=True)
    number = models.BigIntegerField()
    changed_by = models.BigIntegerField()
    char = models.CharField(max_length=40)
    char_or_null = models.CharField(max_length=255, null=True, blank=True)
    text = models.TextField(blank=True)
    yes = models.BooleanField(default=False)
    yes_or_null = models.BooleanField(null=True)
    small = models.SmallIntegerField()
    integer = models.IntegerField()
    big = models.BigIntegerField()
    positive_small = models.PositiveSmallIntegerField()
    positive = models.PositiveIntegerField()
    positive_big = models.PositiveBigIntegerField()
    float = models.FloatField()
    float_or_null = models.FloatField(null=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    fine = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    date = models.DateField()
    time = models.TimeField()
    instant = models.DateTimeField()
    instant_or_null = models.DateTimeField(null=True)
    duration = models.DurationField()
    document = models.JSONField(default=dict)
    document_or_null = models.JSONField(null=True)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True)
    blob = models.BinaryField()
    address = models.GenericIPAddressField(null=True)
    slug = models.SlugField()
    email = models.EmailField()
    url = models.URLField(blank=True)
    file = models.FileField(upload_to="files", blank=True)
    path = models.FilePathField(path="/", blank=True)
    colour = models.CharField(max_length=1, choices=Colour)
    level = models.IntegerField(choices=[(1, "low"), (2, "high")], null=True)

    class Meta:
        unique_together = [("writer", "number")]
        indexes = [
            models.Index(fields=["date", "-integer"], name="record_date"),
            models.Index(Lower("char"), name="record_lower_char"),
            models.Index(fields=["level"], name="record_level", condition=Q(level__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(positive_small__gte=0) & Q(number__gte=0), name="record_not_negative"),
        ]


class Place(models.Model):
    """Its key is a UUID, and its tree refers to itself."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=60)
    within = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="parts")


class Tag(models.Model):
    """Its key is chosen by the application."""

    code = models.SlugField(primary_key=True, max_length=30)
    id = models.SmallIntegerField(default=0, db_column="order")


class Product(models.Model):
    """Refers to others in every way, and is computed in part."""

    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=80)
    made_at = models.ForeignKey(Place, on_delete=models.PROTECT)
    maker = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    tags = models.ManyToManyField(Tag)
    similar = models.ManyToManyField("self")
    places = models.ManyToManyField(Place, through="Stock", related_name="stocked")
    width = models.IntegerField(default=1)
    height = models.IntegerField(db_default=2)
    area = models.GeneratedField(
        expression=F("width") * F("height"), output_field=models.BigIntegerField(), db_persist=True
    )
    added = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "made_at"], name="product_once"),
            models.UniqueConstraint(fields=["maker"], condition=Q(width=0), name="product_flat_once"),
        ]


class Detail(models.Model):
    """Its key is that of the product."""

    product = models.OneToOneField(Product, on_delete=models.CASCADE, primary_key=True)
    text = models.TextField(null=True)


class Stock(models.Model):
    id = models.SmallAutoField(primary_key=True)
    product = models.ForeignKey(Product, on_delete=models.CASCADE)
    place = models.ForeignKey(Place, on_delete=models.CASCADE)
    count = models.PositiveIntegerField(default=0)


class Note(models.Model):
    """Refers to a row of any table."""

    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.CharField(max_length=36)
    about = GenericForeignKey()
    text = models.TextField()

    class Meta:
        db_table = "Notes of Anything"


class Flag(models.Model):
    """A parent in multi-table inheritance, and a table with no other column than its key."""


class Banner(Flag):
    words = models.CharField(max_length=20, default="")
