"""Status and reports, computed from what the server, the journal and the catalogue know."""
