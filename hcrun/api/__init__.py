"""The management API of a Healthchecks server, and what hcctl changes with it."""
