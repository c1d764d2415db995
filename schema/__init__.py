"""The message model: what goes over the wire, and the one codec for it."""
