"""What is wrong with the settings, the server, the checks, this host, its journals, the install.

One module per area. Nothing changes on this host or on the server.
"""
