"""Makes b3iq-smoke, the small chat model that every node carries for its smoke tests.

The text, the tokenizer and the weights are all made here, from a seed; see
docs/smoke-model.md. Order of work: `text` → `tokenizer` → `train` → `golden` → `build`.
"""
