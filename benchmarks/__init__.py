"""What a delivered message costs, here and with what people would use instead."""
