"""What receipts and the audit log share: canonical form, signatures, common fields."""
