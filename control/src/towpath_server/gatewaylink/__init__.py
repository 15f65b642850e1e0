"""
The link to the gateways: the only place that builds routing tables and takes usage and signals in.

It sits above the domains, because one table is built from all of them. A domain that changes
something a gateway must know only bumps the routing revision in its transaction; what follows
happens here.
"""
