"""What a team may reserve in an environment: replicas, CPUs, memory, GPUs by class."""
