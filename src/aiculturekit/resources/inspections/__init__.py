"""Looking into running servers: how large, how busy, who is connected, what is slow, what is in them.

    shapes      what an inspector answers, and what else it may know to do
    wires       PostgreSQL's own protocol, as far as a single statement needs it
    the others  one inspector for each type

Promise: an inspector only reads, and what somebody asks of it can neither write nor run for longer than it may, because the server
refuses; no answer holds a password. May not: start, stop or settle anything.
"""
