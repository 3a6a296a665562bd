"""The verbs of the product. Fronts and tests call only these.

Promise: every verb checks its input, says what it does while it does it, and leaves a record. May not: format, print, or
know whether a browser, a shell or a test is asking.
"""
