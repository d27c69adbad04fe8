"""What is wrong with a set-up: settings, server, checks, this host, its journal, the installation.

One room each: facts are looked up, findings are judged from them by pure functions. Nothing is
changed by looking, on the server neither.
"""
