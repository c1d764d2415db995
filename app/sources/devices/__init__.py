"""Disks, networks, sensors: what may hang is asked from a distance."""
