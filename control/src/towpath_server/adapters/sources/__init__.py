"""Reading models from where others keep them: the Hub, registries, buckets, web servers."""
