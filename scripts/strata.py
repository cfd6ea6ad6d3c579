"""Distances between CPUs that count as one, for the scripts that compare measurements at the same distance."""

# The same factor as in src/stats: distances of two strata are at least so far apart.
APART = 1.6


def together(items, distance):
    """Groups items by their distance. The farthest of a group is less than APART times the nearest."""
    groups = []
    for item in sorted(items, key=distance):
        if groups and distance(item) < APART * distance(groups[-1][0]):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups
