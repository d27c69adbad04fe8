"""Crontab lines and systemd units: rendered from the catalogue, installed, found, imported."""
