"""The bots' rules: FAQ, button flows, webhook bots, and what keeps them in bounds. All pure."""
