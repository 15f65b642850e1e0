"""One folder per outside system that the control plane drives."""
