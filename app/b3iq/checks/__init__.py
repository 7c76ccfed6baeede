"""One file per known fault of a node: what is examined, how it is judged, what to do about it.

`b3iq doctor` runs them. A check reads and never changes anything.
"""
