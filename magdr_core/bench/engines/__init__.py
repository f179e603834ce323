"""Where the units of a benchmark are computed: in this process, or by a crew of workers."""
