"""What Messenger and Instagram share: Meta's `messaging` items in, and the Send API out."""
