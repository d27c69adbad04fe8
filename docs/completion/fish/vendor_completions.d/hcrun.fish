# Tab completion of hcrun, hcctl and the probes, which hcctl knows.
hcctl completion fish | source
