"""Identities, certificates, traffic rules and the node's Envoy.

Promise: what is not allowed is refused; a rule changes without a failed request; the last good configuration survives
the daemon and the proxy. `envoy/` and the other renderers are pure: a Node goes in, files come out. May not: know the application file,
processes or releases.
"""
