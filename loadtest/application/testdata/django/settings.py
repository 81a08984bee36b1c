"""Settings of the shop, all of them from the environment of the load test."""
import os

SECRET_KEY = 'of a shop that nobody reaches'
DEBUG = False
ALLOWED_HOSTS = ['*']
ROOT_URLCONF = 'shop.views'
USE_TZ = True
DEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'
INSTALLED_APPS = ['shop']
MIDDLEWARE = []
DATABASES = {'default': {
    'ENGINE': 'django.db.backends.postgresql',
    'HOST': os.environ['SHOP_HOST'], 'PORT': os.environ['SHOP_PORT'],
    'USER': os.environ['SHOP_USER'], 'NAME': os.environ['SHOP_DATABASE'],
    'CONN_MAX_AGE': None,
    'ATOMIC_REQUESTS': os.environ['SHOP_ATOMIC'] == 'true',
}}

peer, redis = os.environ.get('SHOP_PEER'), os.environ.get('SHOP_REDIS')
if peer == 'cachalot':
    INSTALLED_APPS.append('cachalot')
    CACHES = {'default': {'BACKEND': 'django_redis.cache.RedisCache', 'LOCATION': f'unix://{redis}?db=0'}}
elif peer == 'cacheops':
    INSTALLED_APPS.append('cacheops')
    CACHEOPS_REDIS = {'unix_socket_path': redis}
    CACHEOPS = {'shop.*': {'ops': 'all', 'timeout': 3600}}
