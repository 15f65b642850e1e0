"""Vendors' APIs outside: where they are, what they cost, and the sealed credential for them."""
