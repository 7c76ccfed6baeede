"""The node's HTTP service: one policy table, one file per resource."""
