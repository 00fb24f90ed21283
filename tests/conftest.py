"""What the whole suite shares: the engines that tests run against."""

pytest_plugins = ["tests.engines", "tests.nats_server", "tests.provider_stub"]
