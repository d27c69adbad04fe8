from tests.servers.fleet import cluster, empty, fleet
from tests.servers.postgres import template

__all__ = ["cluster", "empty", "fleet", "template"]
