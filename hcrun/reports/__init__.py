"""What the journal and the server know -> figures. Pure, but for the queries in `runs`,
`outlook` and `view`, and what `otlp` sends.
"""
