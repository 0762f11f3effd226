"""What the service decided and the candidate has not followed yet: by case, the most recent case first, and bounded."""

from __future__ import annotations

from collections import OrderedDict

from engine.simulate.candidates.looks import Absorbed, Item, Look

MOST = 5000  # looks; of cases beyond that, those looked at the longest ago begin anew with their next look


class Waiting:
    """Adding is all the service ever does here."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._cases: OrderedDict[int, list[Item]] = OrderedDict()
        self._count = 0
        self.lost: set[int] = set()  # cases of which looks were let go

    def __len__(self) -> int:
        return self._count

    def __contains__(self, case_id: int) -> bool:
        return case_id in self._cases

    def add(self, look: Look) -> None:
        self._cases.setdefault(look.case_id, []).append(look)
        self._cases.move_to_end(look.case_id)
        self._count += 1
        while self._count > self._most and len(self._cases) > 1:
            case_id, items = self._cases.popitem(last=False)
            self._count -= len(items)
            self.lost.add(case_id)

    def absorbed(self, gone: int, into: int) -> None:
        """What waits of both comes first, then that they are one."""
        self._cases[into] = [*self._cases.pop(into, []), *self._cases.pop(gone, []), Absorbed(gone, into)]
        self._count += 1

    def only(self, rule_set: str) -> None:
        """Lets go of what was decided with any other rule set."""
        for case_id in list(self._cases):
            kept = [one for one in self._cases[case_id] if not isinstance(one, Look) or one.rule_set == rule_set]
            self._count -= len(self._cases[case_id]) - len(kept)
            if kept:
                self._cases[case_id] = kept
            else:
                del self._cases[case_id]

    def take(self, most: int) -> list[list[Item]]:
        """About as many as wanted, of the most recent cases: each case whole, in order."""
        taken: list[list[Item]] = []
        count = 0
        while self._cases and count < most:
            _, items = self._cases.popitem(last=True)
            self._count -= len(items)
            count += len(items)
            taken.append(items)
        return taken

    def clear(self) -> None:
        self._cases.clear()
        self.lost.clear()
        self._count = 0
