"""The sources: each takes samples of one thing and renders windows of them."""
