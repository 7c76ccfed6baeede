"""Model directories as pure files: manifests, integrity, safe load. No torch, no store."""
