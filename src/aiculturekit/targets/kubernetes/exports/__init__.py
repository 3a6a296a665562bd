"""The objects of several environments as files for other tools: a kustomize base with overlays, a Helm chart with values.

Promise: pure; what those tools make of the files for an environment is what `rendering` says for it, object for object. Passwords are in
none of them. May not: hide a difference between environments in a template's logic: every one is a value or a patch.
"""
