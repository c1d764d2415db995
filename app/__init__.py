"""Pulsewire: live host metrics, pushed over WebSocket, Server-Sent Events and long-poll."""

__version__ = "0.1.0"
