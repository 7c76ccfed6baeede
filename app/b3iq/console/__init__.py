"""The owner's pages: server-rendered, no build step, nothing loaded from elsewhere."""
