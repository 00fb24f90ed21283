"""Standing in for the providers: requests signed as they sign them, and their send endpoints."""
