"""The three engines, each on something real or, for S3, a stand-in that checks signatures."""

from __future__ import annotations

from tests.engines import mongo_database_url, mongo_url

__all__ = ["mongo_database_url", "mongo_url"]
