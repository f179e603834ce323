"""Running somebody's code so that whatever it does stays with it."""
