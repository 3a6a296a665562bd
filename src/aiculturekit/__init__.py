"""AICultureKit: describe an application once, run it on one machine, ship the same file to clusters and clouds.

Promise: importing this package costs nothing; every folder's docstring says what it promises and what it may not do.
"""

__version__ = "0.1.0"
