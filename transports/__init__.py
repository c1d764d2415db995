"""The adapters: each moves frames to its medium and nothing else."""
