"""Files: what programs upload for batches, and what batches answer, as OpenAI's API has them."""
