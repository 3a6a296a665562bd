"""Databases, caches and stores: what a type is, the server that plays it on this machine, who may do what in it.

Promise: a type is a row of `kinds.py` and one backend with the shape of `servers.py`; whatever a backend is asked to make true, asking
again changes nothing; what is acknowledged is on disk; a password is never part of a command line, a log or an error.
May not: know the application file, the plan, the state database, the mesh or the engine. Others run its processes and open its ports.
"""
