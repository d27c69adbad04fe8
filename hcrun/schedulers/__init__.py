"""The catalogue -> crontab lines and systemd units. Pure, but for
`deploy`, which puts them in their place.
"""
