"""The catalogue -> crontab lines and systemd units. Pure: nothing here reads or writes a file."""
