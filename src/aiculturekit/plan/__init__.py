"""What has to be true, and the steps that make it so: (application, observed) -> frozen documents, permissions and steps.

Promise: pure; the same input gives the same plan; a step says why. May not: touch a file, a socket, a clock or a target.
"""
