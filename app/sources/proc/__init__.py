"""What the ``processes`` source reads of processes, how it keeps it, and what it leaves out."""
