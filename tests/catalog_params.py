"""Parameters with which the dear components of the catalogue take a moment instead of minutes."""

# Steps enough to run through the code; what they achieve is the business of each component's own tests.
PARAMS = {
    ("attack", "cw"): {"steps": 3, "searches": 1},
    ("attack", "pgd"): {"steps": 4},
    ("attack", "eq3"): {"steps": 3},
    ("attack", "joint-classes"): {"steps": 3},
    ("attack", "torchattacks"): {"steps": 3},
    ("attack", "smooth"): {"steps": 3},
    ("attack", "mixed"): {"attacks": ["noise", "toy"]},
    ("generator", "lora-patch"): {"weights": "random", "rank": 2},
    ("detector", "magnet"): {
        "iterations": 4,
        "filters": (3, 4),
        "classifier_width": 8,
        "classifier_epochs": 1,
        "classifier_outputs": 24,
    },
    ("detector", "metzen"): {"layers": (0, 1), "width": 8, "steps": 12, "check_every": 6},
    ("detector", "nnif"): {"width": 8, "epochs": 3, "index_size": 24, "neighbours": (5, 10)},
    ("detector", "otd"): {"width": 8, "steps": 12, "check_every": 6},
    ("detector", "safetynet"): {"layers": (0, 1)},
    ("defense", "magnet-reformer"): {"steps": 8},
    ("defense", "twin"): {"twins": ["toy"]},
    ("forensic", "module"): {"module": "magdr_plugins.forensics._networks:PlainNet", "size": 24},
    ("forensic", "xception"): {"size": 32},
}
