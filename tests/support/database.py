"""The settings that say where the server's database is."""

from psycopg.conninfo import conninfo_to_dict

_SETTINGS = {
    "host": "HEALTHCHECKS_DB_HOST",
    "port": "HEALTHCHECKS_DB_PORT",
    "dbname": "HEALTHCHECKS_DB_NAME",
    "user": "HEALTHCHECKS_DB_USER",
    "password": "HEALTHCHECKS_DB_PASSWORD",
    "sslmode": "PGSSLMODE",
}


def settings_of(url: str) -> dict[str, str]:
    """Of the database at `url`."""
    return {_SETTINGS[key]: str(value) for key, value in conninfo_to_dict(url).items()}
