"""The verbs of an installed node's updater, one file each."""
