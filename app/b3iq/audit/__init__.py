"""Who changed what of the node's security, and when: a chained, checkpointed log."""
