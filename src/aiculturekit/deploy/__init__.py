"""From a plan to a fact: check -> observe -> diff -> journal -> perform -> record, the same for every target.

Promise: nothing is touched before the whole plan is checked; every step is journalled before it is performed; a crash at any
point is resumed or undone by the next run. May not: know what a target is made of.
"""
