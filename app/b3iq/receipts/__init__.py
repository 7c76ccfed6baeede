"""Signed evidence of completed work: canonical form, signature, chained log."""
