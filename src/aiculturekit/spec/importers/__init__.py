"""Files of other tools as an application file.

Promise: pure; what comes out is read by `spec.load` without a mistake; what could not be carried over is said with its line, why, and
what to do. May not: read the disk except through what it was given, or copy the value of a secret.
"""
