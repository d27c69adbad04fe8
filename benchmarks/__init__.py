"""What hcrun costs, beside what one would use instead, in turns in one run: `make bench`."""
