"""How often a login may be tried: a bucket an account, a bucket an address, both bounded."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import msgspec


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket holds `burst` tries and regains one every `refill_s` seconds."""

    burst: int
    refill_s: float
    keys: int = 10_000


ACCOUNT_LIMIT = Limit(burst=10, refill_s=30.0)
"""Ten wrong passwords at once, then two a minute: 2,900 guesses a day at most."""
ADDRESS_LIMIT = Limit(burst=100, refill_s=0.5)
"""Wider, since people behind one address (an office, an ingress) share it."""


class Buckets:
    """Token buckets by key. A key is never empty, so that nobody shares a nameless bucket.

    At most `limit.keys` are kept; the least recently used go first, and full ones are dropped.
    *clock* gives seconds that only rise.
    """

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of keys kept."""
        return len(self._spent)

    def take(self, key: str) -> float:
        """Take one try; return 0.0, or the seconds to wait when none is left.

        Raises:
            ValueError: The key is empty.
        """
        if not key:
            raise ValueError("a bucket needs a key")
        spent = self._now_spent(key)
        if spent + 1 > self._limit.burst:
            return (spent + 1 - self._limit.burst) * self._limit.refill_s
        self._keep(key, spent + 1)
        return 0.0

    def give_back(self, key: str) -> None:
        """Undo one `take`: it did not count."""
        self._keep(key, self._now_spent(key) - 1)

    def spent(self, key: str) -> float:
        """Return how many tries of the key are spent, and not regained, now."""
        return self._now_spent(key)

    def _now_spent(self, key: str) -> float:
        spent, at = self._spent.get(key, (0.0, 0.0))
        return max(0.0, spent - (self._clock() - at) / self._limit.refill_s)

    def _keep(self, key: str, spent: float) -> None:
        self._spent.pop(key, None)
        if spent > 0:
            self._spent[key] = (spent, self._clock())
        while len(self._spent) > self._limit.keys:
            self._spent.popitem(last=False)


class LoginThrottle:
    """Both buckets of a login."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        account: Limit = ACCOUNT_LIMIT,
        address: Limit = ADDRESS_LIMIT,
    ) -> None:
        self._accounts = Buckets(account, clock)
        self._addresses = Buckets(address, clock)

    def take(self, email_key: str, address: str) -> int:
        """Take a try of this account from this address; return 0, or whole seconds to wait.

        Raises:
            ValueError: Account or address is empty: the login must be refused.
        """
        wait_s = self._addresses.take(address)
        if wait_s:
            return math.ceil(wait_s)
        wait_s = self._accounts.take(email_key)
        return math.ceil(wait_s)

    def succeeded(self, email_key: str, address: str) -> None:
        """Give the try back: only wrong passwords count."""
        self._accounts.give_back(email_key)
        self._addresses.give_back(address)


LINK_LIMIT = Limit(burst=30, refill_s=10.0)
"""Links that an address may try, invitations and resets alike: their secrets cannot be guessed,
but each try costs a look, and one that is right a hash."""
ASKED_LIMIT = Limit(burst=20, refill_s=30.0)
"""Resets that an address may ask for."""
MAILED_LIMIT = Limit(burst=3, refill_s=600.0)
"""Resets mailed to one account: enough to find the mail, too few to be a nuisance."""


class LinkThrottle:
    """The buckets of what anybody may try without a credential."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._tried = Buckets(LINK_LIMIT, clock)
        self._asked = Buckets(ASKED_LIMIT, clock)
        self._begun = Buckets(ADDRESS_LIMIT, clock)
        self._mailed = Buckets(MAILED_LIMIT, clock)

    def tries(self, address: str) -> int:
        """Take a try of a link; return 0, or whole seconds to wait."""
        return math.ceil(self._tried.take(address or "unknown"))

    def asks(self, address: str) -> int:
        """Take a try of asking for a reset; return 0, or whole seconds to wait."""
        return math.ceil(self._asked.take(address or "unknown"))

    def begins(self, address: str) -> int:
        """Take a try of a login by a provider; return 0, or whole seconds to wait.

        Wider, as an office comes from one address, and all of them from that of an ingress.
        """
        return math.ceil(self._begun.take(address or "unknown"))

    def may_mail(self, email_key: str) -> bool:
        """Take a mail to an account; tell whether one was left, which nobody outside is told."""
        return not self._mailed.take(email_key)
