"""A report as text, Markdown, JSON and HTML, and its delivery by mail and to Slack."""
