"""Sanity checks of a benchmark: are its attacks attacks, so that what withstands them means something?

What each check asks and what its verdict means: docs/defense-authors-guide.md.
"""
