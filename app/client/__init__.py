"""A client for other programs; it stands on the message model alone and knows no server."""

from app.client.client import Client
from app.client.messages import ChannelMessage, Message
from app.client.state import RefusedError, State, Status
from app.client.want import Want

__all__ = ["ChannelMessage", "Client", "Message", "RefusedError", "State", "Status", "Want"]
