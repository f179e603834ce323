"""The built-in components of magdr, one file each, in folders by kind.

They come through the entry point `magdr.builtin` and use nothing that a third party's plugin could not.
"""
