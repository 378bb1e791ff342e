"""Talking to a registry: HTTP, authorization, redirects, and what the replies are worth."""
