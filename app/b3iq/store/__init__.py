"""The node's database: tables, transactions and migrations."""
