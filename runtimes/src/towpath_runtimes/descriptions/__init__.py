"""What Towpath starts to serve a format: one YAML document each, which the control plane reads."""
