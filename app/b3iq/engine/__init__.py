"""The inference engine: one model, one process, OpenAI-compatible HTTP on a Unix socket.

Read it in this order: `service` (the loop), `scheduler` and `sequence` (who runs next),
`runner` and `model` (one forward pass), `kv_cache`, `sampler`, `detokenize`; then `server`
and `application` (HTTP and the process around it).
"""
