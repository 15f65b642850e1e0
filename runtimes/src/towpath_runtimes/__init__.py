"""Towpath's model servers, and the descriptions by which the control plane starts them."""
