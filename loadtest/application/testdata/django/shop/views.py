"""Pages of the shop, as JSON, and the three ways in which a program writes with Django."""
from django.db import connection, transaction
from django.db.models import Avg, Count
from django.http import HttpResponse, JsonResponse
from django.urls import path

from shop.models import Category, Product


def product(request, key):
    p = Product.objects.select_related('category').get(pk=key)
    reviews = p.review_set.order_by('-id')[:10]
    stars = p.review_set.aggregate(many=Count('id'), mean=Avg('stars'))
    return JsonResponse({
        'id': p.id, 'version': p.version, 'name': p.name, 'price': p.price, 'category': p.category.name,
        'reviews': [{'stars': r.stars, 'words': r.words} for r in reviews],
        'many': stars['many'], 'mean': float(stars['mean'] or 0),
    })


def category(request, key):
    c = Category.objects.get(pk=key)
    cheapest = c.product_set.order_by('price', 'id')[:10]
    return JsonResponse({'name': c.name, 'products': c.product_set.count(),
                         'cheapest': [{'id': p.id, 'name': p.name, 'price': p.price} for p in cheapest]})


def save(request, key, version):
    p = Product.objects.get(pk=key)
    p.version = version
    p.price = 100 + version % 100
    p.save()
    return HttpResponse()


def update(request, key, version):
    with transaction.atomic():
        Product.objects.filter(pk=key).update(version=version, price=100 + version % 100)
    return HttpResponse()


def raw(request, key, version):
    with connection.cursor() as cursor:
        cursor.execute('UPDATE shop_product SET version = %s, price = %s WHERE id = %s', [version, 100 + version % 100, key])
    return HttpResponse()


urlpatterns = [
    path('product/<int:key>', product),
    path('category/<int:key>', category),
    path('product/<int:key>/save/<int:version>', save),
    path('product/<int:key>/update/<int:version>', update),
    path('product/<int:key>/raw/<int:version>', raw),
]
