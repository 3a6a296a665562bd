"""MySQL's protocol, by the mariadbd or mysqld of the machine: data of its own for each resource, an administrator through a socket only.

    engines     the servers that this machine has, and which of them is meant
    scripts     what a server is told, as statements: pure
    folders     its files on disk, before it runs
    servers     the three together, with the shape of a backend

Verbs are privileges of whole databases, granted to logins: what is made later is open to readers and writers at once. What a login
makes to be run in its name (views, procedures, triggers) outlives it: such a login is locked, not dropped, when it ends.
Tested with MariaDB; what MySQL wants otherwise (its way to make data, to keep passwords) follows its manual.
"""

from aiculturekit.resources.backends.mysql.folders import key, options, socket
from aiculturekit.resources.backends.mysql.scripts import OWNER, VIEWER, databases
from aiculturekit.resources.backends.mysql.servers import Mysql

__all__ = ["OWNER", "VIEWER", "Mysql", "databases", "key", "options", "socket"]
