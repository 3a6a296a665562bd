"""Figures of the real product beside its peers, in the same run: `python -m benchmarks start|memory|gateway|deploy [--json]`."""
