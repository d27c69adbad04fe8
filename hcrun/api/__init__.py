"""The Management API of a Healthchecks server."""
