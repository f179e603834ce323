"""Live components: built, guarded, given conditions and images."""
