"""What anybody gave a reason to refund, kept by the world as things happen: the books a refund is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class Claims:
    """Pieces by article. One physical piece gives one reason, whoever names it: a return, a refund in the store, an agent.

    Where a message leaves open which piece is meant, the larger number of pieces counts, so that what is called unfounded
    here is unfounded however the messages are read.
    """

    def __init__(self, ordered: Mapping[str, int]) -> None:
        self._ordered = dict(ordered)
        self._claimed: Counter[str] = Counter()
        self._in_store: Counter[str] = Counter()
        self._refunded: Counter[str] = Counter()

    def copy(self) -> Claims:
        """The same books, to be gone on with apart."""
        other = Claims(self._ordered)
        other._claimed, other._in_store, other._refunded = self._claimed.copy(), self._in_store.copy(), self._refunded.copy()
        return other

    def key(self) -> tuple[tuple[tuple[str, int], ...], ...]:
        """Equal for books that say the same."""
        return tuple(tuple(sorted(each.items())) for each in (self._claimed, self._in_store, self._refunded))

    def asked_back(self, sku: str) -> None:
        """A customer returns one more piece for its money; what was refunded before may have been another piece."""
        self._claim(sku, max(self._claimed[sku], self._refunded[sku]) + 1)

    def refunded_in_store(self, sku: str) -> None:
        """An agent pays one piece back in the store: a piece that was refunded or is coming back, while there is one."""
        self._in_store[sku] += 1
        self._claim(sku, max(self._claimed[sku], self._in_store[sku]))

    def called_off(self) -> None:
        """Somebody cancels the whole order."""
        self._claimed.update({sku: number - self._claimed[sku] for sku, number in self._ordered.items()})

    def refunded(self, sku: str, pieces: int) -> None:
        """The marketplace paid whole pieces back, whoever asked for it."""
        self._refunded[sku] += pieces

    def paid(self, sku: str) -> int:
        return self._refunded[sku]

    def allow(self, sku: str, pieces: int) -> bool:
        """Whether there is a reason to refund so many pieces more."""
        return self._refunded[sku] + pieces <= self._claimed[sku]

    def _claim(self, sku: str, pieces: int) -> None:
        self._claimed[sku] = min(pieces, self._ordered.get(sku, pieces))
