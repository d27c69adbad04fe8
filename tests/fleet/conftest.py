from tests.servers.fleet import cluster, fleet
from tests.servers.postgres import template

__all__ = ["cluster", "fleet", "template"]
