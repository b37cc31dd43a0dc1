"""What a number of messages or bytes may be."""

__all__ = ["check_bound"]


def check_bound(name: str, bound: object) -> None:
    """Raise ValueError for a number that bounds nothing, and TypeError for what is no number."""
    if not isinstance(bound, int | float):
        raise TypeError(f"{name} is a number, not {bound!r}")
    if not bound >= 1:  # not `bound < 1`: NaN is no bound either
        raise ValueError(f"{name} is at least 1, not {bound}")
    if bound % 1 > 0:
        raise ValueError(f"{name} is a whole number, not {bound}")
