"""A report as text, Markdown, JSON, HTML; and its way to people. Pure, but for the sending."""
