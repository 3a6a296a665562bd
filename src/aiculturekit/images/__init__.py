"""Workloads as container images: a recipe in, an OCI image out, without a Docker daemon.

Promise: the same recipe, code and base make the same digest on every machine; what was made once is not made, fetched or pushed again;
nothing that was built runs. `builds` tells the story, `registries` sends an image where it is wanted.
May not: know the application file, the plan, the state, or another wing.
"""
