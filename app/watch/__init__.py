"""The terminal view: `pulsewire watch`, on the Python client; it knows no server."""
