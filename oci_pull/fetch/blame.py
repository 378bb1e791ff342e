"""Who sent the bytes of a blob, and whom to ask once they turned out to be wrong."""

#: How many hosts are tried one by one where several have sent parts of a wrong blob.
_SUSPECTS = 4


class Blame:
    """The origins of one blob. `tries` is how often it may be wrong before it is given up."""

    def __init__(self, tries: int) -> None:
        #: Who has sent bytes of what is here.
        self.origins: set[str] = set()
        #: Who is to be asked only where nobody else is.
        self.avoid: frozenset[str] = frozenset()
        #: How often it was wrong.
        self.count = 0
        self._tries = tries
        self._liars: set[str] = set()
        self._suspects: list[str] | None = None

    def is_wrong(self) -> bool:
        """Decide whom to avoid from now on; whether it is worth another try."""
        self.count += 1
        if len(self.origins) == 1:
            self._liars |= self.origins
        elif self._suspects is None:
            # Nobody knows which of them lied: each gets to send all of it, once.
            self._suspects = sorted(self.origins)[:_SUSPECTS]
        if self._suspects:
            believed = self._suspects.pop()
            self.avoid = frozenset({*self.avoid, *self._suspects, *self._liars} - {believed})
            return True
        self._tries -= 1
        self.avoid = frozenset(self._liars)
        return self._tries > 0
