"""What the journal and the server know -> figures. Pure, but for the queries in `runs`."""
