"""The machines that model servers run on."""
