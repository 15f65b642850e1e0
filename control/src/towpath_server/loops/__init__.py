"""What moves resources towards what was declared: the leader's lease and the reconcile loop."""
