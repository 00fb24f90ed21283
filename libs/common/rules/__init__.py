"""The rules of a workspace, pure: the router decides by them, and desk tries them out."""
