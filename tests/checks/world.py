"""A toy generator, small faces and an attack: what the registries of these tests begin with."""

WORLD = """[generator.toy]
use = "toy/net"
params = { gain = 4.0 }

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[attack.pgd]
params = { eps = "12/255", steps = 3 }
"""
