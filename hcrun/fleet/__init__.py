"""The fleet: the runs of all hosts in one PostgreSQL database. See docs/fleet.md."""
