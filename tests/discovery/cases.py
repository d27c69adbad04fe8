"""What is expected of the services in tests/data/services: the given keys, and no other `why`."""

from typing import Any

Expected = dict[str, dict[str, Any] | str]  # by service; why it is not checked, if that is a text

CASES: dict[str, Expected] = {}

CASES["programs"] = {
    "sentinel": {"kind": "redis-sentinel", "address": "127.0.0.1:26379"},
    "waits": {"kind": "redis", "address": "127.0.0.1:6390"},
    "dump": "client",
    "tuned": {"kind": "postgres", "address": "127.0.0.1:5499"},
    "own-start": {"kind": "postgres", "address": "127.0.0.1:5432"},
    "migrates-first": {"kind": "http", "address": "http://127.0.0.1:8001/health"},
    "migrates": "one-shot",
    "alembic": "one-shot",
    "init": "one-shot",
    "after": "unknown",
    "worker-app": {"kind": "celery-beat", "why": "no-schedule-file", "address": None},
    "script": {"kind": "celery-worker", "why": "broker-unknown"},
    "ping": {"kind": "celery-worker", "why": "broker-unknown"},
    "flower-shop": {"kind": "http", "why": "not-published"},
    "start-flower": "tool",
    "built": {"kind": "postgres", "address": "127.0.0.1:5433"},
    "asks-other": "unknown",
    "exporter": "tool",
    "postgrest": "unknown",
    "bitwarden": "unknown",
    "connect": "no-probe",
    "unseal": "client",
    "dev-vault": {"kind": "vault", "why": "loopback-inside", "warn": ["dev-mode"]},
    "default-vault": {"address": "http://127.0.0.1:8201", "warn": ["dev-mode"]},
    "off": "scaled-to-zero",
    "off-too": "scaled-to-zero",
    "has-settings": "unknown",
    "local": {"kind": "redis", "address": "127.0.0.1:6400"},
    "registry": {"kind": "redis", "address": "127.0.0.1:6401"},
}


CASES["addresses"] = {
    "default-host": {"why": "loopback-inside", "address": None},
    "bound": {"why": "loopback-inside"},
    "redis-bound": {"why": "loopback-inside"},
    "none": {"why": "not-published"},
    "six": {"address": "[::1]:6380", "warn": ["public"]},
    "tls": {
        "address": "127.0.0.1:6381",
        "env": {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "6381", "REDIS_TLS": "true"},
    },
    "by-flask": {"address": "http://127.0.0.1:5001/health", "warn": ["guess-path"]},
    "by-port": {"address": "http://127.0.0.1:8002/health"},
    "by-check": {
        "address": "http://127.0.0.1:3001/ready",
        "env": {"API_URL": "http://127.0.0.1:3001", "API_HEALTH_PATH": "/ready"},
    },
    "by-name": {"address": "http://127.0.0.1:3002/ok"},
    "by-variable": {"address": "http://127.0.0.1:3003/"},
    "other-check": {"address": "http://127.0.0.1:8004/health", "warn": ["guess-path"]},
    "django": {"address": "http://127.0.0.1:8005/health", "warn": ["guess-path"]},
    "django-inside": {"why": "loopback-inside"},
    "secure": {"address": "https://127.0.0.1:8443/h"},
    "proxy-tls": {"kind": "proxy", "address": "https://127.0.0.1:444/"},
    "proxy-high": {"kind": "proxy", "address": "http://127.0.0.1:8081/"},
    "pg": {"address": "127.0.0.1:5432", "needs": ["tunnel"]},
    "tunnel": "unknown",
    "random-wide": {"address": "127.0.0.1:6390", "warn": ["public"]},
}


CASES["kafka"] = {
    "other-port": {"why": "advertised", "advertised": "localhost:9092", "address": None},
    "default": {"address": "127.0.0.1:9092"},
    "unnamed": {"why": "advertised"},
    "hidden": {"why": "not-published"},
    "random": {"why": "random-port"},
    "kraft": {
        "address": "127.0.0.1:9094",
        "env": {
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9094",
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        },
    },
    "controller": "controller-only",
    "inside": {"why": "advertised", "advertised": "inside:9095"},
    "on-lan": {"address": "192.0.2.7:9096", "warn": ["public"]},
    "old": {"address": "127.0.0.1:9097"},
    "reads-inside": {"kind": "kafka-consumer", "why": "broker-advertised", "needs": ["inside"]},
    "reads-option": {"address": "127.0.0.1:9092", "env": {"KAFKA_GROUPS": "b"}},
    "reads-other": {"address": "k.example:9092"},
    "reads-nothing": {"why": "broker-unknown"},
    "tool": "client",
}


CASES["celery"] = {
    "rabbit": "no-probe",
    "redis": {"container": "cache"},
    "hidden": {"why": "not-published"},
    "amqp": {
        "address": "amqp://guest:***@127.0.0.1:5673//",
        "secrets": {"CELERY_BROKER_URL": "BROKER_URL"},
        "needs": ["rabbit"],
    },
    "by-container": {
        "address": "redis://127.0.0.1:6379/2",
        "env": {"CELERY_BROKER_URL": "redis://127.0.0.1:6379/2"},
        "command": "probe-celery --expect celery@big",
    },
    "by-option": {"address": "redis://127.0.0.1:6379/1", "command": "probe-celery --queues a,b"},
    "outside": {"address": "redis://:***@cache.example.com:6380/0", "command": "probe-celery"},
    "unreached": {"why": "broker-not-published", "needs": ["hidden"]},
    "many": {
        "command": "probe-celery --min-workers 3",
        "container": "case-many-1",
        "containers": ["case-many-1", "case-many-2", "case-many-3"],
    },
    "beat": {"address": "/srv/app/celerybeat-schedule"},
    "redbeat": {"why": "no-schedule-file"},
    "volume": {"why": "no-schedule-file"},
}


CASES["secrets"] = {
    "from-file": {"secrets": {"REDIS_PASSWORD": "file pw"}},
    "mounted": {"secrets": {"PGPASSWORD": "file pw"}},
    "unused": {"secrets": {}},
    "bitnami": {"secrets": {"REDIS_PASSWORD": "REDIS_PASSWORD"}},
    "unset": {"secrets": {}},
    "checked": {"secrets": {"REDIS_PASSWORD": "REDIS_PASSWORD"}},
    "dollar": {"secrets": {"S3_SECRET_ACCESS_KEY": "MINIO_ROOT_PASSWORD"}},
    "missing": {"secrets": {"PGPASSWORD": "file /elsewhere of its container"}},
}
