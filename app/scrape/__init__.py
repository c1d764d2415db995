"""What Prometheus scrapes: the newest sample and the hub's figures, never a reading of its own."""
