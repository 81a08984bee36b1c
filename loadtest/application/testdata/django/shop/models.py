"""A shop: products in categories, with reviews. version is what judges staleness."""
from django.db import models


class Category(models.Model):
    name = models.TextField()


class Product(models.Model):
    category = models.ForeignKey(Category, models.CASCADE)
    name = models.TextField()
    price = models.IntegerField()
    version = models.BigIntegerField()


class Review(models.Model):
    product = models.ForeignKey(Product, models.CASCADE)
    stars = models.IntegerField()
    words = models.TextField()
